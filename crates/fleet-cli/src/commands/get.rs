//! `fleet get KIND [NAME..]`: objects as they are on the management cluster.

use fleet_api::v1alpha1::definitions;
use fleet_spec::nearest;
use kube::{
    api::{Api, DynamicObject, ListParams},
    core::{ApiResource, GroupVersionKind},
};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    cli::Format,
    error::{CliError, Exit, Result},
    hub::{Hub, failed},
    printer::{self, table},
    session::Session,
};

/// A kind, by any of the names that people type.
struct Kind {
    resource: ApiResource,
    names: Vec<String>,
}

/// What the API server makes of a list for people: the same columns as kubectl's.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServerTable {
    #[serde(default)]
    column_definitions: Vec<Column>,
    #[serde(default)]
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
    #[serde(default)]
    priority: i32,
}

#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    cells: Vec<Value>,
}

pub(crate) async fn run(session: &Session, kind: &str, names: &[String], format: Format) -> Result<Exit> {
    let resource = kind_of(kind)?;
    let hub = session.hub().await?;
    match format {
        Format::Table | Format::Wide => {
            let text = for_people(&hub, &resource, names, format == Format::Wide).await?;
            session.printer.data(&text)?;
        }
        Format::Json | Format::Yaml | Format::Name => {
            let mut objects = objects(&hub, &resource, names).await?;
            for object in &mut objects {
                // Who last wrote which field is kubectl's business and drowns the object itself.
                object.metadata.managed_fields = None;
            }
            let names_of = || {
                let name = |object: &DynamicObject| object.metadata.name.clone().unwrap_or_default();
                objects
                    .iter()
                    .map(|object| format!("{}.{}/{}", resource.plural, resource.group, name(object)))
                    .collect()
            };
            match (objects.as_slice(), names) {
                ([only], [_]) => session.printer.value(format, only, |_| String::new(), names_of)?,
                _ => {
                    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects});
                    session.printer.value(format, &list, |_| String::new(), names_of)?;
                }
            }
        }
    }
    Ok(Exit::Done)
}

async fn objects(hub: &Hub, resource: &ApiResource, names: &[String]) -> Result<Vec<DynamicObject>> {
    let api: Api<DynamicObject> = Api::all_with(hub.client.clone(), resource);
    let mut found = Vec::new();
    for name in names {
        found.push(
            api.get(name)
                .await
                .map_err(|error| failed(&format!("{} `{name}` cannot be read", resource.kind), &error))?,
        );
    }
    if names.is_empty() {
        let list = api.list(&ListParams::default()).await;
        found = list.map_err(|error| failed(&format!("{} cannot be listed", resource.plural), &error))?.items;
    }
    for object in &mut found {
        object.types.get_or_insert_with(|| kube::core::TypeMeta {
            api_version: resource.api_version.clone(),
            kind: resource.kind.clone(),
        });
    }
    Ok(found)
}

async fn for_people(hub: &Hub, resource: &ApiResource, names: &[String], wide: bool) -> Result<String> {
    const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let base = format!("/apis/{}/{}/{}", resource.group, resource.version, resource.plural);
    let mut tables: Vec<ServerTable> = Vec::new();
    if names.is_empty() {
        let table = hub.get_raw(&base, TABLE).await;
        tables.push(table.map_err(|error| failed(&format!("{} cannot be listed", resource.plural), &error))?);
    }
    for name in names {
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        if !plain {
            return Err(CliError::usage(format!("`{name}` is not the name of an object")));
        }
        let table = hub.get_raw(&format!("{base}/{name}"), TABLE).await;
        tables.push(
            table.map_err(|error| failed(&format!("{} `{name}` cannot be read", resource.kind), &error))?,
        );
    }
    let Some(first) = tables.first() else { return Ok(String::new()) };
    let shown: Vec<usize> = (0..first.column_definitions.len())
        .filter(|index| {
            wide || first.column_definitions.get(*index).is_some_and(|column| column.priority == 0)
        })
        .collect();
    let heading: Vec<&str> = shown
        .iter()
        .filter_map(|index| first.column_definitions.get(*index))
        .map(|column| column.name.as_str())
        .collect();
    let rows: Vec<Vec<String>> = tables
        .iter()
        .flat_map(|table| &table.rows)
        .map(|row| shown.iter().map(|index| cell(row.cells.get(*index))).collect())
        .collect();
    if rows.is_empty() {
        return Ok(format!("no {}", resource.plural));
    }
    Ok(table(&heading, rows))
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "-".to_owned(),
        Some(Value::String(text)) => printer::plain(text),
        Some(other) => other.to_string(),
    }
}

/// The kind that is meant, by plural, singular, short name, or the name without `tenant` or `version` before it.
fn kind_of(text: &str) -> Result<ApiResource> {
    let kinds: Vec<Kind> = definitions()
        .into_iter()
        .map(|definition| {
            let spec = definition.spec.names;
            let gvk = GroupVersionKind::gvk(fleet_api::GROUP, fleet_api::VERSION, &spec.kind);
            let resource = ApiResource::from_gvk_with_plural(&gvk, &spec.plural);
            let singular = spec.kind.to_lowercase();
            let mut names = vec![spec.plural.clone(), singular.clone()];
            names.extend(spec.short_names.unwrap_or_default());
            for prefix in ["tenant", "version", "control"] {
                names.extend(
                    [spec.plural.strip_prefix(prefix), singular.strip_prefix(prefix)]
                        .into_iter()
                        .flatten()
                        .map(str::to_owned),
                );
            }
            names.retain(|name| !name.is_empty() && name != "s");
            Kind { resource, names }
        })
        .collect();
    let wanted = text.to_lowercase();
    if let Some(kind) = kinds.iter().find(|kind| kind.names.contains(&wanted)) {
        return Ok(kind.resource.clone());
    }
    let plurals: Vec<&str> = kinds.iter().map(|kind| kind.resource.plural.as_str()).collect();
    let error = CliError::usage(format!("fleet has no kind `{text}`"));
    Err(match nearest(&wanted, kinds.iter().flat_map(|kind| &kind.names).map(String::as_str)) {
        Some(meant) => error.hint(format!("did you mean `{meant}`?")),
        None => error.hint(format!("it has {}", plurals.join(", "))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_found_by_every_name_that_people_type() {
        for (typed, plural) in [
            ("tenants", "tenants"),
            ("Tenant", "tenants"),
            ("tn", "tenants"),
            ("classes", "tenantclasses"),
            ("class", "tenantclasses"),
            ("clusters", "tenantclusters"),
            ("channels", "versionchannels"),
            ("exception", "controlexceptions"),
            ("baseline", "baselines"),
            ("fleets", "fleets"),
        ] {
            assert_eq!(kind_of(typed).unwrap().plural, plural, "{typed}");
        }
        assert!(kind_of("tenats").unwrap_err().to_text().contains("did you mean `tenants`?"));
        assert!(kind_of("pods").unwrap_err().to_text().contains("it has fleets, tenants"));
    }
}
