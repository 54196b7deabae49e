//! Why a bundle could not be rendered.

/// Why a catalogue could not be read, or a bundle not rendered. No variant repeats its source in its text.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A file of the catalogue cannot be read.
    #[error("reading `{file}` of the catalogue failed")]
    Read {
        /// The file or folder.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file of the catalogue does not say what it has to.
    #[error("the catalogue's `{file}` is wrong: {message}")]
    Catalogue {
        /// The file, relative to the catalogue's folder.
        file: String,
        /// What is wrong.
        message: String,
    },
    /// A template does not parse, or names something that is not defined.
    #[error("template `{template}`{}: {message}", .line.map(|line| format!(", line {line}")).unwrap_or_default())]
    Template {
        /// The template.
        template: String,
        /// The line in it, when it is known; the first is 1.
        line: Option<usize>,
        /// What is wrong.
        message: String,
    },
    /// A template's output is not YAML.
    #[error("template `{template}` gave no YAML{}: {message}", .line.map(|line| format!(" (line {line} of its output)")).unwrap_or_default())]
    Yaml {
        /// The template.
        template: String,
        /// The line in the output, when it is known; the first is 1.
        line: Option<u64>,
        /// What the parser says.
        message: String,
    },
    /// A template's output is YAML, but no object that Kubernetes knows.
    #[error("template `{template}`, object {object}: {message}")]
    Object {
        /// The template.
        template: String,
        /// The object: its kind and name, or its place.
        object: String,
        /// What is wrong.
        message: String,
    },
    /// A value of the tenant's, the class's or the baseline's cannot be carried out.
    #[error("`{path}` {message}")]
    Value {
        /// The field's path, such as `hardening.network.egress[0].cidr`.
        path: String,
        /// What is wrong with it.
        message: String,
    },
    /// The rendered objects do not fit together.
    #[error("control {control}: {message}")]
    Lint {
        /// The control whose demand is broken.
        control: String,
        /// What does not fit.
        message: String,
    },
}

impl RenderError {
    /// What to do about it, as one imperative.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Read { .. } => "Give the folder that holds one folder per control",
            Self::Catalogue { .. } => "Mend the file by the example of the other controls",
            Self::Template { .. } | Self::Yaml { .. } | Self::Object { .. } => "Mend the template",
            Self::Value { .. } => "Change the value in the tenant, its class or its baseline",
            Self::Lint { .. } => {
                "Change `capacity` of the tenant or `containerLimits` of the baseline so that they fit"
            }
        }
    }

    pub(crate) fn value(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Value { path: path.into(), message: message.into() }
    }
}
