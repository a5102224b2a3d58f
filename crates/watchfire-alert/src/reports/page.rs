//! A page of headings, lines and tables, written as text and as HTML for mails: no styles of elsewhere, no scripts, everything escaped. It
//! knows no facts.

/// The rules of a page, as they stand in both forms of it.
macro_rules! style {
    (body) => {
        "font-family:system-ui,-apple-system,Segoe UI,Roboto,sans-serif;color:#1f2430;background:#ffffff;max-width:720px;margin:0 auto;padding:16px;line-height:1.45"
    };
    (cell) => {
        "padding:4px 12px 4px 0;border-bottom:1px solid #cfd4dc;text-align:left;vertical-align:top"
    };
    () => {
        concat!(
            "body{",
            style!(body),
            "}h1{font-size:22px}h2{font-size:17px}table{border-collapse:collapse}th,td{",
            style!(cell),
            "}img{max-width:100%}"
        )
    };
}

/// A piece of a page.
pub(super) enum Block {
    Heading(String),
    Line(String),
    Item(String),
    /// Columns and rows; what is beyond a column's end is left away.
    Table(Vec<String>, Vec<Vec<String>>),
    /// Where the HTML finds a picture, and what it shows.
    Picture(String, String),
}

/// A page.
pub(super) struct Page {
    pub(super) title: String,
    pub(super) language: &'static str,
    pub(super) blocks: Vec<Block>,
}

/// How a page looks: the attribute `style` of each of its parts, or none of them where a style element says the same.
struct Look {
    body: &'static str,
    h1: &'static str,
    h2: &'static str,
    table: &'static str,
    cell: &'static str,
    picture: &'static str,
    /// What stands in the head beside the title.
    head: &'static str,
}
/// As mail programs need it, many of which leave style elements out.
const IN_MAILS: Look = Look {
    body: concat!(" style=\"", style!(body), "\""),
    h1: " style=\"font-size:22px\"",
    h2: " style=\"font-size:17px\"",
    table: " style=\"border-collapse:collapse\"",
    cell: concat!(" style=\"", style!(cell), "\""),
    picture: " style=\"max-width:100%\"",
    head: "",
};
/// As browsers take it from us: all of it in one element, whose content an answer can allow by its hash.
const IN_BROWSERS: Look = Look { body: "", h1: "", h2: "", table: "", cell: "", picture: "", head: concat!("<style>", style!(), "</style>") };
/// What stands in the style element of a page for browsers.
pub const PAGE_STYLE: &str = style!();

impl Page {
    pub(super) fn heading(&mut self, text: &str) {
        self.blocks.push(Block::Heading(text.to_owned()));
    }
    pub(super) fn line(&mut self, text: impl Into<String>) {
        self.blocks.push(Block::Line(text.into()));
    }
    pub(super) fn item(&mut self, text: impl Into<String>) {
        self.blocks.push(Block::Item(text.into()));
    }
    pub(super) fn table(&mut self, head: &[&str], rows: Vec<Vec<String>>) {
        if !rows.is_empty() {
            self.blocks.push(Block::Table(head.iter().map(|h| (*h).to_owned()).collect(), rows));
        }
    }

    /// As plain text. Pictures are not in it.
    pub(super) fn text(&self) -> String {
        let mut out = format!("{}\n{}\n", self.title, "=".repeat(self.title.chars().count()));
        for block in &self.blocks {
            match block {
                Block::Heading(text) => out.push_str(&format!("\n{text}\n{}\n", "-".repeat(text.chars().count()))),
                Block::Line(text) => out.push_str(&format!("{text}\n")),
                Block::Item(text) => out.push_str(&format!("* {text}\n")),
                Block::Table(head, rows) => rows_as_text(head, rows, &mut out),
                Block::Picture(..) => {}
            }
        }
        out
    }
    /// As HTML for mails.
    pub(super) fn html(&self) -> String {
        self.written(&IN_MAILS)
    }
    /// As HTML for browsers.
    pub(super) fn for_browsers(&self) -> String {
        self.written(&IN_BROWSERS)
    }
    fn written(&self, look: &Look) -> String {
        let title = escaped(&self.title);
        let mut out = format!(
            "<!doctype html>\n<html lang=\"{}\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>{}</head>\n<body{}>\n<h1{}>{title}</h1>\n",
            self.language, look.head, look.body, look.h1
        );
        let mut in_list = false;
        for block in &self.blocks {
            let is_item = matches!(block, Block::Item(_));
            if is_item != in_list {
                out.push_str(if is_item { "<ul>\n" } else { "</ul>\n" });
                in_list = is_item;
            }
            match block {
                Block::Heading(text) => out.push_str(&format!("<h2{}>{}</h2>\n", look.h2, escaped(text))),
                Block::Line(text) => out.push_str(&format!("<p>{}</p>\n", escaped(text))),
                Block::Item(text) => out.push_str(&format!("<li>{}</li>\n", escaped(text))),
                Block::Table(head, rows) => rows_as_html(head, rows, look, &mut out),
                Block::Picture(from, alt) => {
                    out.push_str(&format!("<p><img src=\"{}\" alt=\"{}\"{}></p>\n", escaped(from), escaped(alt), look.picture));
                }
            }
        }
        out.push_str(if in_list { "</ul>\n</body></html>\n" } else { "</body></html>\n" });
        out
    }
}

fn rows_as_text(head: &[String], rows: &[Vec<String>], out: &mut String) {
    let widths: Vec<usize> = (0..head.len())
        .map(|at| rows.iter().chain([&head.to_vec()]).filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    for row in std::iter::once(head).chain(rows.iter().map(Vec::as_slice)) {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
}

fn rows_as_html(head: &[String], rows: &[Vec<String>], look: &Look, out: &mut String) {
    let cell_look = look.cell;
    out.push_str(&format!("<table{}><thead><tr>", look.table));
    for cell in head {
        out.push_str(&format!("<th scope=\"col\"{cell_look}>{}</th>", escaped(cell)));
    }
    out.push_str("</tr></thead><tbody>\n");
    for row in rows {
        out.push_str("<tr>");
        for cell in row.iter().take(head.len()) {
            out.push_str(&format!("<td{cell_look}>{}</td>", escaped(cell)));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table>\n");
}

/// A text without anything that HTML would carry out, and without what turns the direction of writing.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let mut page = Page { title: "Ä & <b>".to_owned(), language: "de", blocks: Vec::new() };
        page.heading("One");
        page.item("a");
        page.item("b\u{202e}c");
        page.line("it's");
        page.table(&["name", "n"], vec![vec!["long name".to_owned(), "1".to_owned()], vec!["<i>".to_owned()]]);
        page.table(&["none"], Vec::new());
        page.blocks.push(Block::Picture("cid:p1".to_owned(), "\"x\"".to_owned()));
        assert_eq!(page.text(), "Ä & <b>\n=======\n\nOne\n---\n* a\n* b\u{202e}c\nit's\nname       n\nlong name  1\n<i>\n");
        let html = page.html();
        for part in [
            "<html lang=\"de\">",
            "<h1 style=\"font-size:22px\">Ä &amp; &lt;b&gt;</h1>",
            "<ul>\n<li>a</li>\n<li>b c</li>\n</ul>\n<p>it&#39;s</p>",
            ">&lt;i&gt;</td></tr>",
            "<img src=\"cid:p1\" alt=\"&quot;x&quot;\"",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
        let shown = page.for_browsers();
        assert!(shown.contains(&format!("<style>{PAGE_STYLE}</style></head>\n<body>\n<h1>Ä &amp; &lt;b&gt;</h1>")) && !shown.contains("style="), "{shown}");
        assert!(html.contains("<td style=\"padding:4px") && html.contains("<table style=\"border-collapse"), "{html}");
        assert!(!html.contains("<b>") && !html.contains("<i>") && html.ends_with("</body></html>\n"));
    }
}
