//! A chart as SVG.

use std::{borrow::Cow, fmt::Write as _};

use super::{Axis, Chart, Series, THEME, TONES, labels, xml::escape};

/// The size of a picture in its own units; it scales to the room that it is given.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 300.0;

/// Where texts on the left begin.
const MARGIN: f64 = 4.0;

/// What a letter takes of a line, at most for nearly all of them.
const LETTER_WIDTH: f64 = 6.8;

/// From one line of text to the next.
const LINE_HEIGHT: f64 = 15.0;

/// A name beside the plot is cut after so many letters.
const NAME_LETTERS_MAX: usize = 32;

/// Lines with more points than this have no dots on them.
const DOTS_MAX: usize = 32;

/// Where the plot lies within the picture.
#[derive(Clone, Copy, Debug)]
struct Frame {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Frame {
    fn x(&self, axis: &Axis, value: f64) -> f64 {
        self.left + axis.scale.place(value) * (self.right - self.left)
    }

    fn y(&self, axis: &Axis, value: f64) -> f64 {
        self.bottom - axis.scale.place(value) * (self.bottom - self.top)
    }
}

impl Chart {
    /// A file of its own.
    pub(in super::super) fn to_file(&self) -> String {
        self.draw(true)
    }

    /// The picture for a page that has the theme and a heading already.
    pub(in super::super) fn to_inline(&self) -> String {
        self.draw(false)
    }

    fn draw(&self, is_file: bool) -> String {
        let top = if is_file { 58.0 } else { 32.0 };
        let height = HEIGHT + top;
        let frame = self.frame(top, height);
        let mut svg = format!(
            "<svg class=\"plot\" xmlns=\"http://www.w3.org/2000/svg\" \
             viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" width=\"100%\">\n\
             <title>{}</title>\n<desc>{}</desc>\n",
            escape(&self.title),
            escape(&self.description)
        );
        if is_file {
            let _ = writeln!(svg, "<style>\n{THEME}</style>");
            let _ = writeln!(
                svg,
                "<rect class=\"ground\" width=\"100%\" height=\"100%\"/>\n\
                 <text class=\"title\" x=\"{MARGIN}\" y=\"22\">{}</text>",
                escape(&self.title)
            );
        }
        self.draw_axes(&mut svg, frame, height);
        for series in &self.series {
            self.draw_series(&mut svg, frame, series);
        }
        self.draw_names(&mut svg, frame);
        self.draw_hints(&mut svg, frame);
        svg.push_str("</svg>\n");
        svg
    }

    /// Leaves as much room at the sides as the texts there take.
    fn frame(&self, top: f64, height: f64) -> Frame {
        let widest = self.y.ticks().map(|(_, text)| width(&text)).fold(0.0, f64::max);
        let names = self.series.iter().map(|series| width(&shown(&series.name)));
        let names = names.fold(0.0, f64::max);
        // Half of the last tick's text stands beyond the end of the axis.
        let right = if names > 0.0 { names + 24.0 } else { 28.0 };
        Frame { left: widest + 16.0, right: WIDTH - right, top, bottom: height - 46.0 }
    }

    fn draw_axes(&self, svg: &mut String, frame: Frame, height: f64) {
        let Frame { left, right, top, bottom } = frame;
        let _ =
            writeln!(svg, "<text x=\"8\" y=\"{:.1}\">{}</text>", top - 12.0, escape(&self.y.label));
        for (tick, text) in self.y.ticks() {
            let y = frame.y(&self.y, tick);
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{left:.1} {y:.1}H{right:.1}\"/>\
                 <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                left - 8.0,
                y + 4.0,
                escape(&text)
            );
        }
        let mut free = f64::MIN;
        for (tick, text) in self.x.ticks() {
            let x = frame.x(&self.x, tick);
            let _ = writeln!(svg, "<path class=\"axis\" d=\"M{x:.1} {bottom:.1}v5\"/>");
            // A text that would touch the one before it is left out; its mark stays.
            if x - width(&text) / 2.0 < free {
                continue;
            }
            free = x + width(&text) / 2.0 + 6.0;
            let _ = writeln!(
                svg,
                "<text class=\"tick\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                bottom + 19.0,
                escape(&text)
            );
        }
        let _ = writeln!(
            svg,
            "<path class=\"axis\" d=\"M{left:.1} {bottom:.1}H{right:.1}\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            f64::midpoint(left, right),
            height - 8.0,
            escape(&self.x.label)
        );
    }

    fn draw_series(&self, svg: &mut String, frame: Frame, series: &Series) {
        let tone = series.tone % TONES;
        for run in series.points.split(|(_, y)| !y.is_finite()).filter(|run| !run.is_empty()) {
            let mut path = String::new();
            for (at, &(x, y)) in run.iter().enumerate() {
                let letter = if at == 0 { 'M' } else { 'L' };
                let (x, y) = (frame.x(&self.x, x), frame.y(&self.y, y));
                let _ = write!(path, "{letter}{x:.1} {y:.1}");
            }
            if let (true, Some(first), Some(last)) = (series.is_filled, run.first(), run.last()) {
                let _ = writeln!(
                    svg,
                    "<path class=\"area f{tone}\" d=\"{path}V{:.1}H{:.1}Z\"/>",
                    frame.bottom,
                    frame.x(&self.x, first.0.min(last.0))
                );
            }
            let _ = writeln!(svg, "<path class=\"curve s{tone}\" d=\"{path}\"/>");
        }
        // A line with few points shows where they are; one of a single point is nothing else.
        if series.points.len() <= DOTS_MAX {
            for &(x, y) in series.points.iter().filter(|(_, y)| y.is_finite()) {
                let (at_x, at_y) = (frame.x(&self.x, x), frame.y(&self.y, y));
                let _ = writeln!(
                    svg,
                    "<circle class=\"dot f{tone}\" cx=\"{at_x:.1}\" cy=\"{at_y:.1}\" r=\"4\">\
                     <title>{}: {} at {}</title></circle>",
                    escape(&series.name),
                    escape(&self.y.unit.write(y)),
                    escape(&self.x.unit.write(x))
                );
            }
        }
    }

    /// Each line's name at its end, with a piece of its colour.
    fn draw_names(&self, svg: &mut String, frame: Frame) {
        let named: Vec<_> = self
            .series
            .iter()
            .filter(|series| !series.name.is_empty())
            .filter_map(|series| {
                let (x, y) = series.points.iter().rfind(|(_, y)| y.is_finite())?;
                Some((series, frame.x(&self.x, *x), frame.y(&self.y, *y)))
            })
            .collect();
        let wishes: Vec<f64> = named.iter().map(|(_, _, y)| *y).collect();
        let places = labels::spread(&wishes, LINE_HEIGHT, [frame.top, frame.bottom]);
        for ((series, x, y), place) in named.iter().zip(places) {
            let tone = series.tone % TONES;
            let begin = frame.right + 8.0;
            // A name right beside its line's last point needs nothing that leads there.
            if (y - place).abs() > 3.0 || begin - x > 16.0 || series.points.len() > DOTS_MAX {
                let _ = writeln!(
                    svg,
                    "<path class=\"leader\" d=\"M{:.1} {y:.1}L{:.1} {place:.1}\"/>\
                     <circle class=\"f{tone}\" cx=\"{:.1}\" cy=\"{place:.1}\" r=\"3\"/>",
                    x + 5.0,
                    begin - 2.0,
                    begin + 2.0
                );
            }
            let _ = writeln!(
                svg,
                "<text class=\"name\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                begin + 9.0,
                place + 4.0,
                escape(&shown(&series.name))
            );
        }
    }

    /// Strips over the whole height that tell what is there when pointed at.
    fn draw_hints(&self, svg: &mut String, frame: Frame) {
        let places: Vec<f64> =
            self.hints.iter().map(|(value, _)| frame.x(&self.x, *value)).collect();
        for (at, (_, text)) in self.hints.iter().enumerate() {
            let middle = |other: Option<&f64>, edge: f64| {
                other.map_or(edge, |other| f64::midpoint(*other, places[at]))
            };
            let begin = middle(at.checked_sub(1).and_then(|before| places.get(before)), frame.left);
            let end = middle(places.get(at + 1), frame.right);
            let _ = writeln!(
                svg,
                "<rect class=\"hint\" x=\"{begin:.1}\" y=\"{:.1}\" width=\"{:.1}\" \
                 height=\"{:.1}\"><title>{}</title></rect>",
                frame.top,
                (end - begin).max(0.0),
                frame.bottom - frame.top,
                escape(text)
            );
        }
    }
}

/// A name as far as there is room for one beside the plot.
fn shown(name: &str) -> Cow<'_, str> {
    match name.char_indices().nth(NAME_LETTERS_MAX) {
        None => Cow::Borrowed(name),
        Some((end, _)) => Cow::Owned(format!("{}…", &name[..end])),
    }
}

/// How much room a text takes.
fn width(text: &str) -> f64 {
    let letters = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
    f64::from(letters) * LETTER_WIDTH
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Scale, Unit},
        *,
    };

    fn chart(name: &str) -> Chart {
        let points = vec![(1.0, 100.0), (2.0, f64::NAN), (10.0, 5_000.0), (100.0, 40_000.0)];
        let values = || points.iter().map(|(_, y)| *y);
        Chart {
            title: format!("Throughput of {name}"),
            description: format!("How fast {name} is"),
            x: Axis {
                label: "connections".into(),
                unit: Unit::Number,
                scale: Scale::log([1.0, 100.0].into_iter()),
            },
            y: Axis {
                label: format!("{name} a second"),
                unit: Unit::Number,
                scale: Scale::from_zero(values()),
            },
            hints: vec![(1.0, name.to_owned()), (10.0, "here".into())],
            series: vec![Series { name: name.to_owned(), points, tone: 9, is_filled: true }],
        }
    }

    #[test]
    fn a_picture_is_well_formed_and_loads_nothing() {
        for name in ["get", "</text></svg><script>alert(1)</script>", "\" onload=\"x", "&amp;\0"] {
            for svg in [chart(name).to_file(), chart(name).to_inline()] {
                let document = roxmltree::Document::parse(&svg).unwrap();
                let tags: Vec<_> =
                    document.descendants().filter(roxmltree::Node::is_element).collect();
                assert!(tags.iter().all(|tag| tag.tag_name().name() != "script"), "{svg}");
                for attribute in tags.iter().flat_map(roxmltree::Node::attributes) {
                    assert!(!attribute.name().starts_with("on"), "{svg}");
                    assert!(!attribute.name().ends_with("href"), "{svg}");
                }
                let title = document.root_element().first_element_child().unwrap();
                let shown = name.replace('\0', "\u{fffd}");
                assert_eq!(title.text(), Some(&*format!("Throughput of {shown}")));
            }
        }
    }

    #[test]
    fn everything_lies_within_the_picture_and_a_gap_stays_one() {
        let svg = chart("get").to_file();
        let document = roxmltree::Document::parse(&svg).unwrap();
        let of_class = |class: &'static str| {
            document.descendants().filter(move |tag| {
                tag.attribute("class").is_some_and(|found| found.split(' ').any(|one| one == class))
            })
        };
        for dot in of_class("dot") {
            let at = |name| dot.attribute(name).unwrap().parse::<f64>().unwrap();
            assert!((0.0..=WIDTH).contains(&at("cx")) && (0.0..=HEIGHT + 60.0).contains(&at("cy")));
        }
        assert_eq!(of_class("dot").count(), 3);
        assert_eq!(of_class("curve").count(), 2, "one before the gap, one after it");
        assert_eq!(of_class("hint").count(), 2);
        let texts: Vec<_> = of_class("tick").filter_map(|tick| tick.text()).collect();
        assert_eq!(
            texts,
            ["0", "10 k", "20 k", "30 k", "40 k", "1", "2", "5", "10", "20", "50", "100"]
        );
    }
}
