//! The Prometheus servers of the Fleet, and the gates that ask them.

use std::collections::BTreeMap;

use fleet_api::v1alpha1::{PrometheusGate, PrometheusServer};

use super::{Problem, References};
use crate::{
    field_path::FieldPath,
    finding::Code,
    prometheus::{Place, ServerUrl, listed, place_of},
    text::shown,
};

/// The problems of the Fleet's list.
pub(super) fn servers(servers: &[PrometheusServer], path: &FieldPath) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut first = BTreeMap::new();
    for (index, PrometheusServer { url, token_key }) in servers.iter().enumerate() {
        let here = path.index(index);
        let parsed = match ServerUrl::parse(url) {
            Ok(parsed) => parsed,
            Err(why) => {
                let message = format!("the URL `{}` {why}", shown(url));
                problems.push(
                    Problem::error(Code::InvalidValue, here.field("url"), message)
                        .hint("write it as `http://prometheus.monitoring.svc:9090`"),
                );
                continue;
            }
        };
        problems.extend(where_it_stands(url, &parsed, token_key.is_some(), &here));
        if let Some(before) = first.get(&parsed) {
            let message = format!("the server `{parsed}` stands twice in the list");
            problems.push(
                Problem::error(Code::DuplicateItem, here, message)
                    .hint(format!("keep one of the two: the first is item [{before}]")),
            );
        } else {
            first.insert(parsed, index);
        }
    }
    problems
}

fn where_it_stands(url: &str, parsed: &ServerUrl, has_token: bool, here: &FieldPath) -> Option<Problem> {
    let place = parsed.place();
    if place == Place::Nowhere {
        let message =
            format!("`{}` is a link-local, metadata or unusable address, and is never asked", shown(url));
        return Some(
            Problem::error(Code::InvalidValue, here.field("url"), message)
                .hint("name the server by the name of its Service, or by an address of its own"),
        );
    }
    if has_token && parsed.exposes_tokens() {
        let message = format!("the token for `{}` could be read by anybody on the way", shown(url));
        return Some(
            Problem::error(Code::InvalidValue, here.field("tokenKey"), message)
                .hint("write an `https` URL, or take `tokenKey` away"),
        );
    }
    (place == Place::Loopback).then(|| {
        let message = format!("`{}` is the controller's own machine", shown(url));
        Problem::warning(Code::InvalidValue, here.field("url"), message)
            .hint("keep it only where the controller runs with FLEET_ALLOW_LOOPBACK, as in the sandbox")
    })
}

/// The problem of a gate's URL, as far as a URL shows it: a name may lead anywhere, and is judged when it is asked.
pub(super) fn gate(gate: &PrometheusGate, path: FieldPath, references: &References<'_>) -> Option<Problem> {
    let rest = gate.url.strip_prefix("https://").or_else(|| gate.url.strip_prefix("http://"));
    let Some(rest) = rest else {
        let message = format!("`{}` is no URL of a Prometheus server", shown(&gate.url));
        return Some(
            Problem::error(Code::InvalidValue, path, message)
                .hint("write it as `https://prometheus.example.com`"),
        );
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let refuse = |message: String, hint: &str| {
        Some(Problem::error(Code::InvalidValue, path.clone(), message).hint(hint))
    };
    if authority.contains('@') {
        // The password is not repeated.
        return refuse(
            "the URL of a Prometheus server carries a user or a password".to_owned(),
            "take it away: a token is named by `tokenKey` in `spec.prometheus` of the Fleet",
        );
    }
    if host.is_empty() || place_of(host) == Place::Nowhere {
        return refuse(
            format!("`{}` leads to no address that is ever asked", shown(&gate.url)),
            "name the server by its name, or by an address of its own",
        );
    }
    // A Fleet that could not be read may have it on its list.
    let allowed = place_of(host) == Place::Public
        || !references.complete
        || listed(&references.fleet.prometheus, &gate.url).is_some();
    if allowed {
        return None;
    }
    refuse(
        format!("`{}` is private, and none of the servers that the Fleet allows", shown(&gate.url)),
        "name the server in `spec.prometheus` of the Fleet, or ask one with a public name",
    )
}
