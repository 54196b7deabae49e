//! A Baseline.

use fleet_api::v1alpha1::{Baseline, BaselineParameters, BaselineSpec, LimitDefaults};

use super::{Problem, channel::object_name, network, quantity, unique::unique};
use crate::{field_path::FieldPath, finding::Code, metadata::dns_label, text::shown};

/// Namespaces that every control leaves alone anyway.
const ALWAYS_EXEMPT: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

/// The problems of a baseline.
pub fn baseline(baseline: &Baseline) -> Vec<Problem> {
    let BaselineSpec { profile: _, parameters, extra_templates } = &baseline.spec;
    let BaselineParameters { allowed_registries, exempt_namespaces, container_limits } = parameters;
    let mut problems = object_name(baseline.metadata.name.as_deref().unwrap_or_default());
    let path = FieldPath::spec().field("parameters");

    let here = path.field("allowedRegistries");
    problems.extend(unique(allowed_registries, &here, "the registry", String::as_str));
    for (index, prefix) in allowed_registries.iter().enumerate() {
        problems.extend(network::registry(prefix, here.index(index)));
    }

    let here = path.field("exemptNamespaces");
    problems.extend(unique(exempt_namespaces, &here, "the namespace", |exempt| exempt.name.as_str()));
    for (index, exempt) in exempt_namespaces.iter().enumerate() {
        let here = here.index(index).field("name");
        if !dns_label(&exempt.name) {
            let message = format!("`{}` is not the name of a namespace", shown(&exempt.name));
            problems.push(
                Problem::error(Code::Namespace, here, message).hint("use lower-case letters, digits and `-`"),
            );
        } else if ALWAYS_EXEMPT.contains(&exempt.name.as_str()) {
            let message = format!("`{}` is exempt anyway", exempt.name);
            problems.push(Problem::error(Code::Namespace, here, message).hint("take the entry away"));
        }
    }

    problems.extend(limits(container_limits, &path.field("containerLimits")));

    let here = FieldPath::spec().field("extraTemplates");
    problems.extend(unique(extra_templates, &here, "the template", |template| template.name.as_str()));
    for (index, template) in extra_templates.iter().enumerate() {
        if !dns_label(&template.name) {
            let message = format!("`{}` cannot name a template", shown(&template.name));
            problems.push(
                Problem::error(Code::InvalidName, here.index(index).field("name"), message)
                    .hint("use lower-case letters, digits and `-`"),
            );
        }
    }
    problems
}

fn limits(limits: &LimitDefaults, path: &FieldPath) -> Vec<Problem> {
    let LimitDefaults { cpu, memory, ephemeral_storage, max_cpu, max_memory } = limits;
    let mut problems = Vec::new();
    quantity::given(ephemeral_storage.as_ref(), path.field("ephemeralStorage"), &mut problems);
    // The defaults stand in the fields' documentation in fleet-api.
    for (default, maximum, field, max_field, default_text, max_text) in [
        (cpu, max_cpu, "cpu", "maxCpu", "500m", "8"),
        (memory, max_memory, "memory", "maxMemory", "512Mi", "32Gi"),
    ] {
        let problems_before = problems.len();
        let given = quantity::given(default.as_ref(), path.field(field), &mut problems);
        let given_max = quantity::given(maximum.as_ref(), path.field(max_field), &mut problems);
        if problems.len() > problems_before || (given.is_none() && given_max.is_none()) {
            continue;
        }
        let value = given.or_else(|| quantity::parse_quantity(default_text));
        let most = given_max.or_else(|| quantity::parse_quantity(max_text));
        if value > most {
            let at = if given.is_some() { field } else { max_field };
            let text = default.as_ref().map_or(default_text, |quantity| &quantity.0);
            let max_text = maximum.as_ref().map_or(max_text, |quantity| &quantity.0);
            problems.push(
                Problem::error(
                    Code::LimitAboveMaximum,
                    path.field(at),
                    format!(
                        "a container would get {text} of {field}, more than the {max_text} that it may have"
                    ),
                )
                .hint(format!("lower `{field}`, or raise `{max_field}`")),
            );
        }
    }
    problems
}
