//! The one place that writes to the terminal: data to stdout, everything else to stderr.

use std::io::{IsTerminal as _, Write as _};

use anstream::{AutoStream, ColorChoice};
use owo_colors::{OwoColorize as _, Style};
use serde::Serialize;

use crate::{
    cli::{Colour, Format},
    error::{CliError, Result},
};

/// Writes results and messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    colour: ColorChoice,
    quiet: bool,
}

/// What a word stands for, and so how it is coloured. Everything reads without colour as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As wanted.
    Good,
    /// Under way, or waiting.
    Busy,
    /// Somebody has to act.
    Bad,
    /// Headings.
    Strong,
    /// Less important.
    Faint,
    /// As it is.
    Plain,
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Self::Good => Style::new().green(),
            Self::Busy => Style::new().yellow(),
            Self::Bad => Style::new().red(),
            Self::Strong => Style::new().bold(),
            Self::Faint => Style::new().dimmed(),
            Self::Plain => Style::new(),
        }
    }
}

/// A text in a tone.
pub(crate) fn toned(text: impl std::fmt::Display, tone: Tone) -> String {
    text.to_string().style(tone.style()).to_string()
}

impl Printer {
    /// A printer by the options of the command line.
    pub(crate) fn new(colour: Colour, quiet: bool) -> Self {
        let colour = match colour {
            Colour::Auto => ColorChoice::Auto,
            Colour::Always => ColorChoice::Always,
            Colour::Never => ColorChoice::Never,
        };
        Self { colour, quiet }
    }

    /// True when somebody looks at stderr, so that lines may be drawn over.
    pub(crate) fn animated(&self) -> bool {
        !self.quiet && std::io::stderr().is_terminal()
    }

    /// True when somebody looks at stdout, and not a file or another program.
    pub(crate) fn is_watched(&self) -> bool {
        std::io::stdout().is_terminal()
    }

    /// How many characters fit into a line of stdout: what COLUMNS says, what the terminal says, or what most have room for.
    pub(crate) fn width(&self) -> usize {
        let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        let seen = || {
            let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
            (size.ws_col > 0).then_some(usize::from(size.ws_col))
        };
        said.or_else(seen).unwrap_or(100)
    }

    /// Writes data to stdout. A reader that has gone away (`| head`) is no error.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub(crate) fn data(&self, text: &str) -> Result<()> {
        let mut out =
            AutoStream::new(std::io::stdout().lock(), self.colour_for(std::io::stdout().is_terminal()));
        let newline = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        match write!(out, "{text}{newline}").and_then(|()| out.flush()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(CliError::remote("the result cannot be written").because(error))
            }
            _ => Ok(()),
        }
    }

    /// Writes a message to stderr, unless quiet.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            self.speak(text);
        }
    }

    /// Writes to stderr why something was refused, quiet or not.
    pub(crate) fn refusal(&self, text: &str) {
        self.speak(text);
    }

    /// Writes an error to stderr, quiet or not.
    pub(crate) fn error(&self, error: &CliError) {
        let text = error.to_text();
        let text = text.replacen("error:", &toned("error:", Tone::Bad), 1);
        self.speak(&text.replace("\nhint:", &format!("\n{}", toned("hint:", Tone::Busy))));
    }

    /// Text for somebody else who writes to stderr, without colours where this printer would write none.
    pub(crate) fn for_stderr(&self, text: String) -> String {
        let choice = match self.colour_for(std::io::stderr().is_terminal()) {
            ColorChoice::Auto => AutoStream::choice(&std::io::stderr()),
            choice => choice,
        };
        if choice == ColorChoice::Never { anstream::adapter::strip_str(&text).to_string() } else { text }
    }

    /// Writes to stderr. Nothing can be done when that fails, so nothing is.
    fn speak(&self, text: &str) {
        let choice = self.colour_for(std::io::stderr().is_terminal());
        let mut err = AutoStream::new(std::io::stderr().lock(), choice);
        let _ = writeln!(err, "{text}");
    }

    fn colour_for(&self, terminal: bool) -> ColorChoice {
        match self.colour {
            ColorChoice::Auto if !terminal => ColorChoice::Never,
            // anstream reads NO_COLOR and TERM itself.
            other => other,
        }
    }

    /// Writes a value as JSON or YAML, and as `table` gives it in the other formats.
    ///
    /// # Errors
    /// When the value cannot be written.
    pub(crate) fn value<T: Serialize>(
        &self,
        format: Format,
        value: &T,
        table: impl FnOnce(bool) -> String,
        names: impl FnOnce() -> Vec<String>,
    ) -> Result<()> {
        match format {
            Format::Json => self.data(&json(value)?),
            Format::Yaml => self.data(&yaml(value)?),
            Format::Name => self.data(&names().join("\n")),
            Format::Table | Format::Wide => self.data(&table(format == Format::Wide)),
        }
    }
}

/// A value as indented JSON.
///
/// # Errors
/// When the value has no JSON.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string_pretty(value)
        .map_err(|e| CliError::remote("the result has no JSON form").because(e))
}

/// A value as YAML.
///
/// # Errors
/// When the value has no YAML.
pub(crate) fn yaml<T: Serialize>(value: &T) -> Result<String> {
    serde_yaml::to_string(value).map_err(|e| CliError::remote("the result has no YAML form").because(e))
}

/// A table without lines, as kubectl prints them: a heading and rows. Lines are never broken: what does not fit is the
/// terminal's or the pager's to cut.
pub(crate) fn table(heading: &[&str], rows: Vec<Vec<String>>) -> String {
    let heading: Vec<String> = heading.iter().map(|name| name.to_uppercase()).collect();
    let lines: Vec<Vec<String>> = std::iter::once(heading).chain(rows).collect();
    // Colours take no room on the terminal.
    let width = |cell: &String| anstream::adapter::strip_str(cell).to_string().chars().count();
    let columns = lines.iter().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns)
        .map(|column| lines.iter().filter_map(|line| line.get(column)).map(width).max().unwrap_or_default())
        .collect();
    let padded = |line: &Vec<String>| {
        let cells = line
            .iter()
            .zip(&widths)
            .map(|(cell, room)| format!("{cell}{}", " ".repeat(room.saturating_sub(width(cell)))));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(padded).collect::<Vec<_>>().join("\n")
}

/// Puts a question to whoever sits at the terminal, on stderr and without a line break.
///
/// # Errors
/// When stderr cannot be written: then nobody saw the question.
pub(crate) fn ask(question: &str) -> Result<()> {
    let mut err = std::io::stderr().lock();
    write!(err, "{question}")
        .and_then(|()| err.flush())
        .map_err(|error| CliError::remote("the question cannot be shown").because(error))
}

/// Text from a cluster without what a terminal would obey: objects and messages are written by many hands.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// A length of time in the two largest units, such as `3m12s` or `4d2h`.
pub(crate) fn short_duration(duration: jiff::SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_heading_and_no_trailing_blanks() {
        let text = table(&["tenant", "ready"], vec![vec!["acme".to_owned(), "yes".to_owned()]]);
        assert_eq!(text, "TENANT  READY\nacme    yes");
    }

    #[test]
    fn durations_are_told_in_two_units() {
        let of = |seconds| short_duration(jiff::SignedDuration::from_secs(seconds));
        assert_eq!([of(5), of(192), of(3 * 3600 + 60), of(90_000)], ["5s", "3m12s", "3h1m", "1d1h"]);
    }
}
