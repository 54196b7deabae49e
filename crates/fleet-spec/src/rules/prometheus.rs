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

/// The problem of a gate's URL that carries a user or a password, which is not repeated.
pub(super) fn credentials(gate: &PrometheusGate, path: FieldPath) -> Option<Problem> {
    authority(&gate.url).contains('@').then(|| {
        Problem::error(
            Code::InvalidValue,
            path,
            "the URL of a Prometheus server carries a user or a password".to_owned(),
        )
        .hint("take it away: a token is named by `tokenKey` in `spec.prometheus` of the Fleet")
    })
}

/// The problem of a gate's URL that leads to a private network, unless the Fleet allows the server. A name may lead
/// anywhere, and is judged when it is asked.
pub(super) fn gate(gate: &PrometheusGate, path: FieldPath, references: &References<'_>) -> Option<Problem> {
    let authority = authority(&gate.url);
    let host = match authority.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    // A Fleet that could not be read may have it on its list.
    let allowed = place_of(host) == Place::Public
        || !references.complete
        || listed(&references.fleet.prometheus, &gate.url).is_some();
    (!allowed).then(|| {
        let message =
            format!("`{}` is private, and none of the servers that the Fleet allows", shown(&gate.url));
        Problem::error(Code::InvalidValue, path, message)
            .hint("name the server in `spec.prometheus` of the Fleet, or ask one with a public name")
    })
}

fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}
