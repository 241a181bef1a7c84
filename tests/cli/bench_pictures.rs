//! What `plinth bench` writes besides its table, and how it compares two servers.

use std::fs;

use roxmltree::{Document, Node};
use serde_json::Value;

use crate::process::{Server, run};

/// Options that keep a run short.
const SHORT: [&str; 8] =
    ["--keys", "300", "--connections", "4", "--seconds", "0.3", "--warm-up", "0"];

/// Looks that nothing in a document runs or comes from elsewhere.
fn assert_is_of_itself(document: &Document<'_>) {
    for tag in document.descendants().filter(Node::is_element) {
        let name = tag.tag_name().name();
        assert!(!["script", "link", "img", "image", "iframe", "use"].contains(&name), "{name}");
        for attribute in tag.attributes() {
            let (name, value) = (attribute.name(), attribute.value());
            assert!(!name.starts_with("on") && !["src", "href"].contains(&name), "{name}={value}");
        }
    }
}

#[test]
fn a_run_writes_its_distribution_and_its_page() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&directory.path().join("data"));
    let hdr = directory.path().join("run.hgrm");
    let page = directory.path().join("run.html");
    let target = server.target();
    let mut arguments = vec!["bench", "get", "--target", &target, "--load", "--json"];
    arguments.extend(["--hdr", hdr.to_str().unwrap(), "--report", page.to_str().unwrap()]);
    let said = run(&[&arguments[..], &SHORT].concat());
    assert_eq!(said.code, 0, "{said:?}");
    let run_json: Value = serde_json::from_str(&said.stdout).unwrap();

    let distribution = fs::read_to_string(hdr).unwrap();
    let total = distribution.lines().find_map(|line| line.split("Total count    =").nth(1));
    let total: u64 = total.unwrap().trim_end_matches(']').trim().parse().unwrap();
    assert_eq!(run_json["operations"], total, "{distribution}");
    let columns = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let head = ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"];
    assert_eq!(distribution.lines().next().map(columns).unwrap(), head);

    let page = fs::read_to_string(page).unwrap();
    let document = Document::parse(page.trim_start_matches("<!DOCTYPE html>")).unwrap();
    assert_is_of_itself(&document);
    let text: String = document.descendants().filter_map(|node| node.text()).collect();
    for wanted in ["Latency by percentile", "p99 latency", "Configuration", &target] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
}

#[test]
fn two_servers_are_compared_in_turn() {
    let directory = tempfile::tempdir().unwrap();
    let a = Server::start(&directory.path().join("a"));
    let b = Server::start(&directory.path().join("b"));
    let page = directory.path().join("comparison.html");
    let (target_a, target_b) = (a.target(), b.target());
    let compare = |more: &[&str]| {
        let mut arguments = vec!["bench", "compare", "get", "--a", &target_a, "--b", &target_b];
        arguments.extend(["--rounds", "2", "--load"]);
        arguments.extend(SHORT);
        arguments.extend(more);
        run(&arguments)
    };
    let said = compare(&["--json", "--report", page.to_str().unwrap()]);
    assert_eq!(said.code, 0, "{said:?}");
    let found: Value = serde_json::from_str(&said.stdout).unwrap();
    let rounds = found["rounds"].as_array().unwrap();
    assert_eq!(rounds.len(), 2);
    let mut ratios = Vec::new();
    for round in rounds {
        assert_eq!(round["a"]["target"], *target_a);
        assert_eq!(round["b"]["target"], *target_b);
        assert_eq!(round["a"]["misses"], 0, "both are filled: {round}");
        assert_eq!(round["b"]["misses"], 0, "both are filled: {round}");
        let rate = |letter: &str| round[letter]["ops_per_second"].as_f64().unwrap();
        ratios.push(rate("a") / rate("b"));
    }
    assert!(rounds[1]["a"]["load_seconds"].is_null(), "once is enough: {found}");
    let ratio = |name: &str| found["a_to_b"]["ops_per_second"][name].as_f64().unwrap();
    ratios.sort_by(f64::total_cmp);
    assert!((ratio("least") - ratios[0]).abs() < 1e-9, "{found}");
    assert!((ratio("most") - ratios[1]).abs() < 1e-9, "{found}");
    assert!((ratio("a") / ratio("b") - ratio("a_to_b")).abs() < 1e-9, "{found}");
    let page = fs::read_to_string(page).unwrap();
    let document = Document::parse(page.trim_start_matches("<!DOCTYPE html>")).unwrap();
    assert_is_of_itself(&document);
    assert_eq!(page.matches("<svg").count(), 2);

    let said = compare(&[]);
    assert_eq!(said.code, 0, "{said:?}");
    for wanted in ["a/b", "operations a second", "p99 latency", "client CPU an operation"] {
        assert!(said.stdout.contains(wanted), "{wanted}: {said:?}");
    }
    let said = run(&["bench", "compare", "get", "--a", &target_a]);
    assert!(said.code == 2 && said.stderr.contains("--b"), "{said:?}");
}

#[test]
fn several_results_become_one_picture() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&directory.path().join("data"));
    let target = server.target();
    let mut results = String::new();
    for connections in ["1", "4"] {
        let short = ["--seconds", "0.1", "--warm-up", "0", "--json"];
        let wanted = ["bench", "ping", "--target", &target, "--connections", connections];
        let said = run(&[&wanted[..], &short].concat());
        assert_eq!(said.code, 0, "{said:?}");
        results.push_str(&said.stdout);
    }
    let file = directory.path().join("results.json");
    let picture = directory.path().join("picture.svg");
    fs::write(&file, results).unwrap();
    let plot = |more: &[&str]| run(&[&["bench", "plot", file.to_str().unwrap()], more].concat());
    let said = plot(&["--title", "</title>", "--out", picture.to_str().unwrap()]);
    assert_eq!((said.code, said.stdout.as_str()), (0, ""), "{said:?}");
    let svg = fs::read_to_string(&picture).unwrap();
    let document = Document::parse(&svg).unwrap();
    assert_is_of_itself(&document);
    let dots = document.descendants().filter(|node| node.tag_name().name() == "circle");
    assert!(dots.count() >= 2, "{svg}");

    let said = plot(&["--y", "latency_us.p50,latency_us.p99"]);
    assert!(said.stdout.contains(">p50</text>") && said.stdout.contains(">p99</text>"), "{said:?}");
    assert!(Document::parse(&said.stdout).is_ok());
    let said = plot(&["--y", "speed"]);
    assert!(said.code == 1 && said.stderr.contains("speed"), "{said:?}");
    let said = run(&["bench", "plot", "/nowhere/at-all.json"]);
    assert!(said.code == 1 && said.stderr.contains("/nowhere/at-all.json"), "{said:?}");
}
