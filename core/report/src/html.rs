//! The page: blocks in order, rendered to one HTML file that needs nothing else. All text given
//! is plain text and is escaped; figures are SVG made by this crate.

use std::fmt::Write as _;
use std::path::Path;

use crate::colour::{SERIES, SERIES_DARK};
use crate::svg::escape;

/// A page under construction; every method appends a block and gives the page back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    title: String,
    subtitle: String,
    footer: String,
    body: String,
}

/// A number worth a large print.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeyFigure {
    /// What it is.
    pub label: String,
    /// The number with its unit, as it is to be read.
    pub value: String,
    /// A line below: interval, comparison, how it was computed.
    pub detail: String,
}

/// How a column stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Align {
    /// Words.
    #[default]
    Left,
    /// Numbers.
    Right,
}

/// A column of a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Column {
    /// Its heading, with the unit.
    pub name: String,
    /// How it stands.
    pub align: Align,
}

impl Column {
    /// A column of words.
    pub fn text(name: impl Into<String>) -> Self {
        Self { name: name.into(), align: Align::Left }
    }

    /// A column of numbers.
    pub fn number(name: impl Into<String>) -> Self {
        Self { name: name.into(), align: Align::Right }
    }
}

/// A table of plain text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Caption above; may be empty.
    pub caption: String,
    /// The columns.
    pub columns: Vec<Column>,
    /// Rows of cells; missing cells stay empty, surplus ones are shown without a heading.
    pub rows: Vec<Vec<String>>,
    /// Indices of rows to emphasise.
    pub strong: Vec<usize>,
}

/// The report could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {message}; check that the folder exists and can be written")]
pub struct ReportError {
    /// The file asked for.
    pub path: String,
    /// What the system said.
    pub message: String,
}

impl Report {
    /// A page with a title.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    /// A line or two below the title: what was done, with what.
    pub fn subtitle(&mut self, text: impl Into<String>) -> &mut Self {
        self.subtitle = text.into();
        self
    }

    /// The last line: versions, seeds, dates.
    pub fn footer(&mut self, text: impl Into<String>) -> &mut Self {
        self.footer = text.into();
        self
    }

    /// A section heading.
    pub fn heading(&mut self, text: &str) -> &mut Self {
        self.block(format_args!("<h2>{}</h2>", escape(text)))
    }

    /// A heading inside a section.
    pub fn subheading(&mut self, text: &str) -> &mut Self {
        self.block(format_args!("<h3>{}</h3>", escape(text)))
    }

    /// A paragraph.
    pub fn paragraph(&mut self, text: &str) -> &mut Self {
        self.block(format_args!("<p>{}</p>", escape(text)))
    }

    /// A list of points.
    pub fn list<S: AsRef<str>>(&mut self, points: &[S]) -> &mut Self {
        let items: String =
            points.iter().map(|p| format!("<li>{}</li>\n", escape(p.as_ref()))).collect();
        self.block(format_args!("<ul>\n{items}</ul>"))
    }

    /// A caution that must not be overlooked.
    pub fn note(&mut self, lead: &str, text: &str) -> &mut Self {
        let (lead, text) = (escape(lead), escape(text));
        self.block(format_args!("<aside class=\"note\"><b>{lead}</b> {text}</aside>"))
    }

    /// Lines to be copied as they are: commands, settings.
    pub fn code(&mut self, text: &str) -> &mut Self {
        self.block(format_args!("<pre><code>{}</code></pre>", escape(text)))
    }

    /// A row of large numbers.
    pub fn key_figures(&mut self, figures: &[KeyFigure]) -> &mut Self {
        let mut inner = String::new();
        for f in figures {
            let (label, value, detail) = (escape(&f.label), escape(&f.value), escape(&f.detail));
            let _ = writeln!(
                inner,
                "<div><dt>{label}</dt><dd class=\"value\">{value}</dd>\
                 <dd class=\"detail\">{detail}</dd></div>"
            );
        }
        self.block(format_args!("<dl class=\"keys\">\n{inner}</dl>"))
    }

    /// A table.
    pub fn table(&mut self, table: &Table) -> &mut Self {
        let class = |i: usize| match table.columns.get(i).map(|c| c.align) {
            Some(Align::Right) => " class=\"right\"",
            _ => "",
        };
        let mut html = String::from("<div class=\"scroll\"><table>\n");
        if !table.caption.is_empty() {
            let _ = writeln!(html, "<caption>{}</caption>", escape(&table.caption));
        }
        html.push_str("<thead><tr>");
        for (i, c) in table.columns.iter().enumerate() {
            let _ = write!(html, "<th scope=\"col\"{}>{}</th>", class(i), escape(&c.name));
        }
        html.push_str("</tr></thead>\n<tbody>\n");
        for (r, row) in table.rows.iter().enumerate() {
            html.push_str(if table.strong.contains(&r) { "<tr class=\"strong\">" } else { "<tr>" });
            for i in 0..table.columns.len().max(row.len()) {
                let cell = row.get(i).map_or(String::new(), |c| escape(c));
                let _ = write!(html, "<td{}>{cell}</td>", class(i));
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</tbody>\n</table></div>");
        self.block(format_args!("{html}"))
    }

    /// A picture made by one of this crate's `svg()` methods, with a caption.
    pub fn figure(&mut self, svg: &str, caption: &str) -> &mut Self {
        let html = figure_html(svg, caption);
        self.block(format_args!("{html}"))
    }

    /// Pictures side by side where the page is wide enough: (svg, caption) each.
    pub fn figure_row(&mut self, figures: &[(String, String)]) -> &mut Self {
        let inner: String = figures.iter().map(|(s, c)| figure_html(s, c)).collect();
        self.block(format_args!("<div class=\"figures\">\n{inner}</div>"))
    }

    /// The whole page.
    pub fn to_html(&self) -> String {
        let (title, subtitle) = (escape(&self.title), escape(&self.subtitle));
        let subtitle = if subtitle.is_empty() { subtitle } else { format!("<p>{subtitle}</p>\n") };
        let footer = if self.footer.is_empty() {
            String::new()
        } else {
            format!("<footer>{}</footer>\n", escape(&self.footer))
        };
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>\n{style}{series}</style>\n</head>\n<body>\n<main>\n\
             <header>\n<h1>{title}</h1>\n{subtitle}</header>\n{body}{footer}</main>\n</body>\n\
             </html>\n",
            style = include_str!("style.css"),
            series = series_style(),
            body = self.body
        )
    }

    /// Writes the page to `path`; nothing appears under that name before the page is complete.
    pub fn write(&self, path: &Path) -> Result<(), ReportError> {
        let fail = |e: std::io::Error| ReportError {
            path: path.display().to_string(),
            message: e.to_string(),
        };
        let name = path.file_name().map_or("report".into(), |n| n.to_string_lossy().into_owned());
        let partial = path.with_file_name(format!(".{name}.{}.part", std::process::id()));
        std::fs::write(&partial, self.to_html())
            .and_then(|()| std::fs::rename(&partial, path))
            .map_err(|e| {
                // What was written so far is of no use; a failure to remove it changes nothing.
                let _ = std::fs::remove_file(&partial);
                fail(e)
            })
    }

    fn block(&mut self, html: std::fmt::Arguments) -> &mut Self {
        let _ = writeln!(self.body, "{html}");
        self
    }
}

fn figure_html(svg: &str, caption: &str) -> String {
    let caption = if caption.is_empty() {
        String::new()
    } else {
        format!("<figcaption>{}</figcaption>\n", escape(caption))
    };
    format!("<figure>\n{svg}{caption}</figure>\n")
}

/// The series colours of dark screens, by class.
fn series_style() -> String {
    let rules = |colours: &[&str]| -> String {
        let each =
            |(i, c): (usize, &&str)| format!("svg .s{i}{{stroke:{c}}}svg .f{i}{{fill:{c}}}\n");
        colours.iter().enumerate().map(each).collect()
    };
    format!(
        "{}@media screen and (prefers-color-scheme:dark){{\n{}}}\n",
        rules(&SERIES),
        rules(&SERIES_DARK)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LinePlot, Series};

    fn page() -> Report {
        let mut r = Report::new("A <b> & \"c\"");
        let plot = LinePlot {
            y_label: "loss".into(),
            series: vec![Series::new("<i>", vec![(0.0, 1.0), (1.0, 0.5)])],
            ..LinePlot::default()
        };
        r.subtitle("sub & title")
            .heading("Results <1>")
            .paragraph("x < y")
            .list(&["one", "<two>"])
            .note("Careful:", "a & b")
            .code("marsfm --x <file>")
            .key_figures(&[KeyFigure {
                label: "n".into(),
                value: "<5".into(),
                ..Default::default()
            }])
            .table(&Table {
                caption: "T<1>".into(),
                columns: vec![Column::text("name"), Column::number("value")],
                rows: vec![vec!["<a>".into()], vec!["b".into(), "1".into()]],
                strong: vec![1],
            })
            .figure(&plot.svg(), "caption <x>")
            .figure_row(&[(plot.svg(), String::new()), (plot.svg(), "y".into())])
            .footer("f & g");
        r
    }

    /// Every element is closed by its own end tag, in order.
    fn well_formed(html: &str) -> Result<usize, String> {
        let void = ["meta", "!DOCTYPE"];
        let (mut open, mut seen, mut rest) = (Vec::new(), 0, html);
        while let Some(at) = rest.find('<') {
            let end = rest[at..].find('>').ok_or("unclosed tag")? + at;
            let tag = &rest[at + 1..end];
            let name = tag.trim_start_matches('/').split_whitespace().next().unwrap_or("");
            let name = name.trim_end_matches('/');
            if tag.starts_with('/') {
                let top = open.pop();
                if top != Some(name) {
                    return Err(format!("</{name}> closes {top:?}"));
                }
            } else if !tag.ends_with('/') && !void.contains(&name) {
                open.push(name);
            }
            seen += 1;
            rest = &rest[end + 1..];
        }
        if open.is_empty() { Ok(seen) } else { Err(format!("left open: {open:?}")) }
    }

    #[test]
    fn the_page_is_well_formed() {
        let seen = well_formed(&page().to_html()).unwrap();
        assert!(seen > 100, "{seen}");
        assert!(well_formed("<p><b></p></b>").is_err());
    }

    #[test]
    fn text_is_escaped_everywhere() {
        let html = page().to_html();
        for raw in ["<1>", "<i>", "<a>", "<two>", "<x>", "<file>", "x < y", "a & b", "<5", "<b> &"]
        {
            assert!(!html.contains(raw), "{raw}");
        }
        assert!(html.contains("A &lt;b&gt; &amp; &quot;c&quot;"));
    }

    #[test]
    fn nothing_comes_from_outside() {
        let html = page().to_html().replace("http://www.w3.org/2000/svg", "");
        for outside in
            ["http:", "https:", "//", "src=", "href=", "url(", "@import", "<script", "<link"]
        {
            assert!(!html.contains(outside), "{outside}");
        }
    }

    #[test]
    fn writing_is_all_or_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.html");
        page().write(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), page().to_html());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        let error = page().write(&dir.path().join("no/report.html")).unwrap_err().to_string();
        assert!(error.contains("no/report.html"), "{error}");
    }
}
