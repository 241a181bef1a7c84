//! The trace: a file of events in the folder that the option `trace_enable` names, one a line, for
//! people who look there first when a client does not do what it should.
//!
//! It tells when the client began, with which API version, which databases it was given, and when the
//! network ended. A trace that can't be written is none: no program fails for it.

use std::{
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::json::quoted;

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// `<Event …/>`
    #[default]
    Xml,
    /// `{…}`
    Json,
}

/// What the options ask for.
#[derive(Clone, Debug, Default)]
pub(crate) struct TraceSettings {
    /// Where the file goes; no trace without.
    pub(crate) directory: Option<String>,
    /// How lines look.
    pub(crate) format: Format,
    /// Stands in the file's name instead of the process id.
    pub(crate) identifier: Option<String>,
    /// The `LogGroup` of all events.
    pub(crate) log_group: Option<String>,
    /// Behind the file's name until the file is closed.
    pub(crate) partial_suffix: String,
    /// The address in the file's name.
    pub(crate) ip: Option<String>,
}

impl TraceSettings {
    /// No trace.
    pub(crate) const fn new() -> Self {
        Self {
            directory: None,
            format: Format::Xml,
            identifier: None,
            log_group: None,
            partial_suffix: String::new(),
            ip: None,
        }
    }
}

/// A trace that is being written.
struct Trace {
    file: File,
    path: PathBuf,
    /// The file's name when it is closed.
    final_path: PathBuf,
    format: Format,
    log_group: String,
    machine: String,
}

static TRACE: Mutex<Option<Trace>> = Mutex::new(None);

fn trace() -> MutexGuard<'static, Option<Trace>> {
    TRACE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins the trace, if one is asked for.
pub(crate) fn begin(settings: &TraceSettings) {
    if let Some(directory) = &settings.directory {
        *trace() = Trace::create(Path::new(directory), settings).ok();
    }
}

/// Adds an event.
pub(crate) fn event(kind: &str, details: &[(&str, &str)]) {
    if let Some(trace) = trace().as_mut() {
        trace.add(kind, details);
    }
}

/// Closes the trace.
pub(crate) fn end() {
    if let Some(trace) = trace().take() {
        trace.close();
    }
}

impl Trace {
    fn create(directory: &Path, settings: &TraceSettings) -> std::io::Result<Self> {
        let now = since_1970();
        let machine = settings.ip.clone().unwrap_or_else(|| "127.0.0.1".to_owned());
        let process = std::process::id().to_string();
        let identifier = settings.identifier.as_ref().unwrap_or(&process);
        let extension = match settings.format {
            Format::Xml => "xml",
            Format::Json => "json",
        };
        let (seconds, fraction) = (now.as_secs(), now.subsec_micros());
        let name = format!("trace.{machine}.{identifier}.{seconds}.{fraction:06}.0.1.{extension}");
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        let path = directory.join(format!("{name}{}", settings.partial_suffix));
        let mut file = OpenOptions::new().append(true).create(true).open(&path)?;
        if settings.format == Format::Xml {
            file.write_all(b"<?xml version=\"1.0\"?>\n<Trace>\n")?;
        }
        let final_path = directory.join(name);
        let log_group = settings.log_group.clone().unwrap_or_else(|| "default".to_owned());
        Ok(Self { file, path, final_path, format: settings.format, log_group, machine })
    }

    fn add(&mut self, kind: &str, details: &[(&str, &str)]) {
        let time = format!("{:.6}", since_1970().as_secs_f64());
        let machine = format!("{}:0", self.machine);
        let common = [
            ("Severity", "10"),
            ("Time", time.as_str()),
            ("Type", kind),
            ("ID", "0000000000000000"),
            ("Machine", machine.as_str()),
            ("LogGroup", self.log_group.as_str()),
        ];
        let line = line(self.format, common.iter().chain(details));
        // Whoever reads it will see that it ends.
        let _ = self.file.write_all(line.as_bytes());
    }

    fn close(mut self) {
        if self.format == Format::Xml {
            let _ = self.file.write_all(b"</Trace>\n");
        }
        if self.path != self.final_path {
            let _ = fs::rename(&self.path, &self.final_path);
        }
    }
}

fn line<'a>(format: Format, fields: impl Iterator<Item = &'a (&'a str, &'a str)>) -> String {
    match format {
        Format::Json => {
            let fields: Vec<String> = fields
                .map(|(name, value)| format!("{}: {}", quoted(name), quoted(value)))
                .collect();
            format!("{{  {} }}\n", fields.join(", "))
        }
        Format::Xml => {
            let mut line = "<Event".to_owned();
            for (name, value) in fields {
                // Writing to a string can't fail.
                let _ = write!(line, " {name}=\"{}\"", escaped(value));
            }
            line + " />\n"
        }
    }
}

/// Text within an attribute of XML.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            char if char < ' ' => escaped.push(' '),
            char => escaped.push(char),
        }
    }
    escaped
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a trace and gives its only file's name and text.
    fn written(settings: &TraceSettings) -> (String, String) {
        let directory = tempfile::TempDir::new().unwrap();
        let mut trace = Trace::create(directory.path(), settings).unwrap();
        trace.add("Begun", &[("Where", "a \"b\" <c>")]);
        let partial = trace.path.clone();
        assert!(partial.to_str().unwrap().ends_with(&settings.partial_suffix));
        trace.close();
        let files: Vec<_> = fs::read_dir(directory.path()).unwrap().map(Result::unwrap).collect();
        assert_eq!(files.len(), 1);
        let text = fs::read_to_string(files[0].path()).unwrap();
        (files[0].file_name().into_string().unwrap(), text)
    }

    #[test]
    fn events_are_lines_of_xml_or_json() {
        let settings = TraceSettings {
            identifier: Some("me".to_owned()),
            partial_suffix: ".tmp".to_owned(),
            ..TraceSettings::new()
        };
        let (name, text) = written(&settings);
        assert!(name.starts_with("trace.127.0.0.1.me.") && name.ends_with(".0.1.xml"), "{name}");
        assert!(text.starts_with("<?xml") && text.ends_with("</Trace>\n"), "{text}");
        assert!(text.contains(r#" Where="a &quot;b&quot; &lt;c&gt;" />"#), "{text}");

        let (name, text) = written(&TraceSettings { format: Format::Json, ..settings });
        assert!(name.contains(".0.1.json"), "{name}");
        assert!(text.contains(r#""Type": "Begun""#), "{text}");
        assert!(text.ends_with("\"Where\": \"a \\\"b\\\" <c>\" }\n"), "{text}");
    }

    #[test]
    fn a_folder_that_is_not_there_is_no_failure() {
        assert!(Trace::create(Path::new("/nowhere/at/all"), &TraceSettings::new()).is_err());
    }
}
