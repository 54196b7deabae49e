//! A ControlException.

use fleet_api::v1alpha1::{ControlException, ControlExceptionSpec};

use super::{Problem, References, channel::object_name, tenant::namespaces_of, unique::unique};
use crate::{
    field_path::FieldPath,
    finding::Code,
    text::{nearest, one_of, shown},
};

/// The problems of an exception.
pub fn exception(exception: &ControlException, references: &References<'_>) -> Vec<Problem> {
    let ControlExceptionSpec { control, tenant, scope, reason: _, owner, approver, expires } =
        &exception.spec;
    let mut problems = object_name(exception.metadata.name.as_deref().unwrap_or_default());
    let path = FieldPath::spec();
    problems.extend(references.dangling("Tenant", tenant, &references.tenants, path.field("tenant")));
    if let Some(controls) = references.controls.filter(|controls| !controls.contains(control)) {
        let problem = Problem::error(
            Code::UnknownControl,
            path.field("control"),
            format!("the catalogue has no control `{}`", shown(control)),
        );
        problems.push(match nearest(control, controls.iter().map(String::as_str)) {
            Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
            None => problem.hint(format!("it has {}", one_of(controls.iter().map(String::as_str)))),
        });
    }
    let same_person = |a: &str, b: &str| a.trim().eq_ignore_ascii_case(b.trim());
    if same_person(owner, approver) {
        problems.push(
            Problem::error(
                Code::SelfApproved,
                path.field("approver"),
                format!("`{}` approves their own exception", shown(approver)),
            )
            .hint("let somebody other than the owner accept the risk"),
        );
    }
    if *expires < references.today {
        problems.push(
            Problem::error(
                Code::ExceptionExpired,
                path.field("expires"),
                format!("the exception expired on {expires} and waives nothing any more"),
            )
            .hint("take it away, or have it approved again with a new day"),
        );
    }
    if let Some(scope) = scope {
        let here = path.field("scope").field("namespaces");
        problems.extend(unique(&scope.namespaces, &here, "the namespace", String::as_str));
        if let Some(Some(tenant)) = references.tenants.get(tenant.as_str()) {
            let known = namespaces_of(tenant);
            for (index, namespace) in scope.namespaces.iter().enumerate() {
                if !known.contains(&namespace.as_str()) {
                    let problem = Problem::error(
                        Code::DanglingReference,
                        here.index(index),
                        format!("the tenant has no namespace `{}`", shown(namespace)),
                    );
                    problems.push(match nearest(namespace, known.iter().copied()) {
                        Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
                        None => problem.hint(format!("it has {}", one_of(known.iter().copied()))),
                    });
                }
            }
        }
    }
    problems
}
