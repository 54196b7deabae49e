//! The control catalogue: one folder per control, read as data.

use std::{collections::BTreeMap, fs, path::Path};

use fleet_api::v1alpha1::Profile;
use serde::Deserialize;

use crate::{Phase, RenderError, engine::Engine};

/// The file that makes a folder a control.
const CONTROL_FILE: &str = "control.yaml";

/// Every file of `templates/hardening`, by its path there.
static BUILTIN: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/catalogue.rs"));

/// The controls and their parsed templates.
#[derive(Debug, Clone)]
pub struct Catalogue {
    controls: Vec<Control>,
    pub(crate) engine: Engine,
}

/// One control: what it demands, what it answers, and where its templates are.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Control {
    /// The id, such as `NET-1`; the folder has the same name.
    pub id: String,
    /// What it is about, in one line.
    pub title: String,
    /// What it demands, and by which objects, for people.
    pub demands: String,
    /// The demands of published catalogues that it answers.
    pub maps: Maps,
    /// What a stricter profile adds.
    #[serde(default)]
    pub tightened_by: BTreeMap<String, String>,
    /// Whether a waiver can cover single namespaces, or only the whole cluster.
    pub reach: Reach,
    /// Whether it can be waived at all. What every other control stands on cannot.
    #[serde(default = "yes")]
    pub waivable: bool,
    /// When it has no meaning for a cluster.
    #[serde(default)]
    pub not_applicable: Vec<NotApplicable>,
    /// Its templates, in order.
    #[serde(default)]
    pub templates: Vec<Template>,
    /// Its probes: a template that gives a list of them.
    pub probes: String,
}

const fn yes() -> bool {
    true
}

/// The demands of published catalogues that a control answers, by catalogue.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Maps {
    /// CIS Kubernetes Benchmark 1.12.
    #[serde(default)]
    pub cis_kubernetes: Vec<String>,
    /// CIS EKS Benchmark 1.8.
    #[serde(default)]
    pub cis_eks: Vec<String>,
    /// Sections of the NSA and CISA hardening guide 1.2.
    #[serde(default)]
    pub nsa: Vec<String>,
    /// Requirements of PCI DSS 4.
    #[serde(default)]
    pub pci: Vec<String>,
    /// Paragraphs of 45 CFR 164, the HIPAA Security Rule.
    #[serde(default)]
    pub hipaa: Vec<String>,
    /// Checks of the Multi-Tenancy Benchmarks.
    #[serde(default)]
    pub mtb: Vec<String>,
    /// Sections of NIST SP 800-190.
    #[serde(default)]
    pub nist: Vec<String>,
}

impl Maps {
    /// Every demand as one text with its catalogue's name, such as `CIS EKS 4.3.2`.
    pub fn texts(&self) -> Vec<String> {
        [
            ("CIS Kubernetes", &self.cis_kubernetes),
            ("CIS EKS", &self.cis_eks),
            ("NSA", &self.nsa),
            ("PCI", &self.pci),
            ("HIPAA 164", &self.hipaa),
            ("MTB", &self.mtb),
            ("NIST 800-190", &self.nist),
        ]
        .into_iter()
        .flat_map(|(catalogue, demands)| demands.iter().map(move |demand| format!("{catalogue} {demand}")))
        .collect()
    }
}

/// What of a tenant's a control can be waived for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reach {
    /// Single namespaces, or all of them.
    Namespaces,
    /// The whole cluster alone.
    Cluster,
}

/// When a control has no meaning for a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotApplicable {
    /// A tera condition over the values that templates get.
    pub when: String,
    /// Why, for people.
    pub why: String,
}

/// A template of a control.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// The file in the control's folder.
    pub file: String,
    /// When its objects are applied.
    pub phase: Phase,
}

impl Catalogue {
    /// The catalogue that is built in.
    pub fn builtin() -> Result<Self, RenderError> {
        Self::from_files(BUILTIN)
    }

    /// The catalogue in a folder, for work on it.
    pub fn read(folder: &Path) -> Result<Self, RenderError> {
        let mut files = Vec::new();
        collect(folder, "", &mut files)?;
        let files: Vec<(&str, &str)> =
            files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        Self::from_files(&files)
    }

    /// The controls, by family and number.
    pub fn controls(&self) -> &[Control] {
        &self.controls
    }

    /// One control by its id.
    pub fn control(&self, id: &str) -> Option<&Control> {
        self.controls.iter().find(|control| control.id == id)
    }

    fn from_files(files: &[(&str, &str)]) -> Result<Self, RenderError> {
        let mut controls = Vec::new();
        for (path, text) in files {
            if let Some((folder, CONTROL_FILE)) = path.split_once('/') {
                controls.push(read_control(folder, path, text, files)?);
            }
        }
        controls.sort_by_cached_key(|control| order(&control.id));
        let mut engine = Engine::new();
        engine.add(files.iter().filter(|(path, _)| !path.ends_with(CONTROL_FILE)).copied())?;
        for control in &controls {
            for (index, rule) in control.not_applicable.iter().enumerate() {
                let condition = format!("{{% if {} %}}true{{% else %}}false{{% endif %}}", rule.when);
                engine.add([(condition_name(&control.id, index).as_str(), condition.as_str())])?;
            }
        }
        Ok(Self { controls, engine })
    }
}

/// The name of the template that a condition becomes.
pub(crate) fn condition_name(control: &str, index: usize) -> String {
    format!("{control}/{CONTROL_FILE}#notApplicable[{index}]")
}

fn read_control(
    folder: &str,
    path: &str,
    text: &str,
    files: &[(&str, &str)],
) -> Result<Control, RenderError> {
    let wrong = |message: String| RenderError::Catalogue { file: path.to_owned(), message };
    let control: Control =
        serde_saphyr::from_str(text).map_err(|error| wrong(error.without_snippet().to_string()))?;
    if control.id != folder {
        return Err(wrong(format!("`{}` lies in the folder `{folder}`", control.id)));
    }
    let named = control.templates.iter().map(|template| &template.file).chain([&control.probes]);
    for file in named {
        if !files.iter().any(|(name, _)| *name == format!("{folder}/{file}")) {
            return Err(wrong(format!("there is no file `{file}` beside it")));
        }
    }
    let profiles = [Profile::Pci, Profile::Hipaa].map(Profile::as_str);
    if let Some(profile) = control.tightened_by.keys().find(|profile| !profiles.contains(&profile.as_str())) {
        return Err(wrong(format!("no profile `{profile}` tightens anything: there are `pci` and `hipaa`")));
    }
    Ok(control)
}

/// Orders ids by family and then by number, so that `NET-2` comes before `NET-10`.
fn order(id: &str) -> (String, u32) {
    let (family, number) = id.rsplit_once('-').unwrap_or((id, ""));
    (family.to_owned(), number.parse().unwrap_or(u32::MAX))
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, String)>) -> Result<(), RenderError> {
    let failed = |source| RenderError::Read { file: folder.display().to_string(), source };
    let mut entries = fs::read_dir(folder).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if path.is_dir() {
            collect(&path, &format!("{name}/"), files)?;
        } else if name.ends_with(".yaml") {
            let text = fs::read_to_string(&path)
                .map_err(|source| RenderError::Read { file: path.display().to_string(), source })?;
            files.push((name, text));
        }
    }
    Ok(())
}
