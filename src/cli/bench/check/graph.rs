//! A graph of what must have come before what, and the shortest circle in it.
//!
//! Real time orders almost every pair of transactions, and an edge for each would be too many. So
//! time has nodes of its own: one behind each end, each leading to the next, and from the last one
//! before its beginning to a transaction.

use std::collections::{HashMap, VecDeque};

/// Why one transaction comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Because {
    /// The second read what the first wrote at this key.
    Read(usize),
    /// The second wrote over what the first wrote at this key.
    Overwrote(usize),
    /// The second wrote over what the first read at this key.
    OverwroteRead(usize),
    /// The first had ended before the second began.
    Time,
}

/// A step of a circle, from one transaction to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) because: Because,
}

/// How many transactions of a knot are tried as the beginning of its shortest circle.
const BEGINNINGS_MAX: usize = 64;

/// The graph.
#[derive(Debug, Default)]
pub(super) struct Graph {
    edges: Vec<Vec<(usize, Because)>>,
    /// Nodes below this number are transactions, those from it on are moments.
    transactions: usize,
}

impl Graph {
    /// A graph of this many transactions; `spans` are the beginnings and ends of those in it.
    pub(super) fn new(transactions: usize, spans: &[(usize, u64, u64)]) -> Self {
        let mut ends: Vec<(u64, usize)> =
            spans.iter().map(|(node, _, end)| (*end, *node)).collect();
        ends.sort_unstable();
        let mut graph = Self { edges: vec![Vec::new(); transactions + ends.len()], transactions };
        for (at, (_, node)) in ends.iter().enumerate() {
            let moment = transactions + at;
            graph.edges[*node].push((moment, Because::Time));
            if at + 1 < ends.len() {
                graph.edges[moment].push((moment + 1, Because::Time));
            }
        }
        for (node, begin, _) in spans {
            let behind = ends.partition_point(|(end, _)| end < begin);
            if behind > 0 {
                graph.edges[transactions + behind - 1].push((*node, Because::Time));
            }
        }
        graph
    }

    pub(super) fn link(&mut self, from: usize, to: usize, because: Because) {
        if from != to {
            self.edges[from].push((to, because));
        }
    }

    /// A shortest circle of each knot, as far as is tried; none if there is an order.
    pub(super) fn circles(&self) -> Vec<Vec<Step>> {
        self.knots().iter().filter_map(|knot| self.circle(knot)).collect()
    }

    /// The sets of transactions that reach each other (Tarjan's algorithm, without recursion).
    fn knots(&self) -> Vec<Vec<usize>> {
        const UNSEEN: usize = usize::MAX;
        let count = self.edges.len();
        let (mut number, mut low) = (vec![UNSEEN; count], vec![0; count]);
        let (mut is_open, mut open) = (vec![false; count], Vec::new());
        let (mut knots, mut next) = (Vec::new(), 0);
        for root in 0..count {
            if number[root] != UNSEEN {
                continue;
            }
            let mut path = vec![(root, 0)];
            while let Some((node, edge)) = path.pop() {
                if edge == 0 {
                    (number[node], low[node]) = (next, next);
                    next += 1;
                    open.push(node);
                    is_open[node] = true;
                }
                if let Some((to, _)) = self.edges[node].get(edge) {
                    path.push((node, edge + 1));
                    if number[*to] == UNSEEN {
                        path.push((*to, 0));
                    } else if is_open[*to] {
                        low[node] = low[node].min(number[*to]);
                    }
                    continue;
                }
                if let Some((parent, _)) = path.last() {
                    low[*parent] = low[*parent].min(low[node]);
                }
                if low[node] == number[node] {
                    let mut knot = Vec::new();
                    while let Some(member) = open.pop() {
                        is_open[member] = false;
                        knot.push(member);
                        if member == node {
                            break;
                        }
                    }
                    if knot.len() > 1 {
                        knots.push(knot);
                    }
                }
            }
        }
        knots
    }

    /// The shortest circle through one of a knot's first transactions.
    fn circle(&self, knot: &[usize]) -> Option<Vec<Step>> {
        let mut members = knot.to_vec();
        members.sort_unstable();
        let beginnings: Vec<usize> = members
            .iter()
            .copied()
            .filter(|node| *node < self.transactions)
            .take(BEGINNINGS_MAX)
            .collect();
        let circles = beginnings.iter().filter_map(|&begin| self.shortest(begin, &members));
        circles.min_by_key(Vec::len)
    }

    /// The shortest way from a transaction back to it, within a knot. Moments cost nothing.
    fn shortest(&self, begin: usize, members: &[usize]) -> Option<Vec<Step>> {
        let mut came: HashMap<usize, (usize, Because)> = HashMap::new();
        let mut cost: HashMap<usize, usize> = HashMap::from([(begin, 0)]);
        let mut queue = VecDeque::from([(begin, 0)]);
        while let Some((node, so_far)) = queue.pop_front() {
            if cost.get(&node).is_some_and(|known| *known < so_far) {
                continue;
            }
            for &(to, because) in &self.edges[node] {
                if to == begin {
                    came.insert(begin, (node, because));
                    return Some(self.way_back(begin, &came));
                }
                let is_free = to >= self.transactions;
                let further = so_far + usize::from(!is_free);
                let is_better = cost.get(&to).is_none_or(|known| further < *known);
                if !is_better || members.binary_search(&to).is_err() {
                    continue;
                }
                cost.insert(to, further);
                came.insert(to, (node, because));
                if is_free {
                    queue.push_front((to, further));
                } else {
                    queue.push_back((to, further));
                }
            }
        }
        None
    }

    fn way_back(&self, begin: usize, came: &HashMap<usize, (usize, Because)>) -> Vec<Step> {
        let (mut steps, mut to, mut at) = (Vec::new(), begin, begin);
        while let Some(&(from, because)) = came.get(&at) {
            if from < self.transactions {
                steps.push(Step { from, to, because });
                to = from;
            }
            at = from;
            if from == begin {
                break;
            }
        }
        steps.reverse();
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_alone_is_an_order_and_against_it_there_is_a_circle() {
        let spans = [(0, 0, 10), (1, 5, 20), (2, 11, 30), (3, 31, 40)];
        let mut graph = Graph::new(4, &spans);
        graph.link(0, 1, Because::Read(0));
        graph.link(2, 1, Because::OverwroteRead(0));
        assert_eq!(graph.circles(), Vec::<Vec<Step>>::new());
        graph.link(3, 0, Because::Read(7));
        let circles = graph.circles();
        assert_eq!(circles.len(), 1);
        assert_eq!(
            circles[0],
            [
                Step { from: 0, to: 3, because: Because::Time },
                Step { from: 3, to: 0, because: Because::Read(7) },
            ]
        );
    }

    #[test]
    fn the_shortest_of_several_circles_is_told() {
        let mut graph = Graph::new(5, &[]);
        for (from, to) in [(0, 1), (1, 2), (2, 3), (3, 0), (2, 4), (4, 2)] {
            graph.link(from, to, Because::Read(from));
        }
        let [circle] = &graph.circles()[..] else { panic!("one knot") };
        assert_eq!(circle.len(), 2);
    }
}
