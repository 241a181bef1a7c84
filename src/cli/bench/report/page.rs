//! A page of HTML that needs nothing but itself: its look is in it, and it runs no script.

use std::fmt::Write as _;

use crate::cli::bench::svg::{Chart, THEME, escape};

/// What the page looks like, besides the plots.
const SHEET: &str = include_str!("page.css");

/// A page that grows from top to bottom. Every text is escaped here.
#[derive(Debug)]
pub(crate) struct Page {
    html: String,
}

impl Page {
    /// Begins with a heading and a sentence about it.
    pub(crate) fn new(title: &str, about: &str) -> Self {
        let (title, about) = (escape(title), escape(about));
        // Whatever slips through may neither run nor load anything.
        let policy = "default-src 'none'; style-src 'unsafe-inline'";
        Self {
            html: format!(
                "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
                 <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\"/>\n\
                 <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
                 <meta name=\"color-scheme\" content=\"light dark\"/>\n\
                 <title>{title}</title>\n<style>\n{THEME}{SHEET}</style>\n</head>\n<body>\n<main>\n\
                 <h1>{title}</h1>\n<p>{about}</p>\n"
            ),
        }
    }

    /// Numbers that are to be seen first, each with what it is.
    pub(crate) fn tiles(&mut self, tiles: &[(String, String)]) {
        self.html.push_str("<div class=\"tiles\">\n");
        for (number, name) in tiles {
            let (number, name) = (escape(number), escape(name));
            let _ = writeln!(self.html, "<div><b>{number}</b><span>{name}</span></div>");
        }
        self.html.push_str("</div>\n");
    }

    /// Something that went wrong.
    pub(crate) fn trouble(&mut self, text: &str) {
        let _ = writeln!(self.html, "<div class=\"trouble\"><p>{}</p></div>", escape(text));
    }

    pub(crate) fn heading(&mut self, text: &str) {
        let _ = writeln!(self.html, "<h2>{}</h2>", escape(text));
    }

    /// A plot under a heading of its own.
    pub(crate) fn figure(&mut self, chart: &Chart) {
        self.heading(&chart.title);
        let _ = writeln!(self.html, "<figure>\n{}</figure>", chart.to_inline());
    }

    /// A table; the first column names the rows, the others are numbers. Without heads it is one of
    /// names and whatever belongs to them.
    pub(crate) fn table(&mut self, heads: &[&str], rows: &[Vec<String>]) {
        self.html.push_str("<div class=\"scroll\"><table>\n");
        if !heads.is_empty() {
            let cells = heads.iter().map(|head| format!("<th>{}</th>", escape(head)));
            let _ = writeln!(self.html, "<tr>{}</tr>", cells.collect::<String>());
        }
        let class = if heads.is_empty() { " class=\"text\"" } else { "" };
        for row in rows {
            let cells = row.iter().map(|cell| format!("<td{class}>{}</td>", escape(cell)));
            let _ = writeln!(self.html, "<tr>{}</tr>", cells.collect::<String>());
        }
        self.html.push_str("</table></div>\n");
    }

    /// A table that opens when it is wanted.
    pub(crate) fn folded_table(&mut self, name: &str, heads: &[&str], rows: &[Vec<String>]) {
        let _ = writeln!(self.html, "<details><summary>{}</summary>", escape(name));
        self.table(heads, rows);
        self.html.push_str("</details>\n");
    }

    /// The whole page.
    pub(crate) fn finish(mut self) -> String {
        let version = env!("CARGO_PKG_VERSION");
        let _ = write!(
            self.html,
            "<footer>plinth bench {version}</footer>\n</main>\n</body>\n</html>\n"
        );
        self.html
    }
}
