//! Names of container images.

use std::borrow::Cow;

/// A registry prefix as the whole names of its images begin with it: `acme/` stands for `docker.io/acme/`.
///
/// A first part is a host only with a dot, a colon or an upper-case letter in it, or as `localhost`; all else is on
/// Docker Hub, which `index.docker.io` means too. Source: `splitDockerDomain` of github.com/distribution/reference,
/// which container runtimes complete names by. POD-7 completes images' names in the same way before it compares.
pub fn whole_prefix(prefix: &str) -> Cow<'_, str> {
    let (host, rest) = prefix.split_once('/').unwrap_or((prefix, ""));
    let is_host =
        host == "localhost" || host.contains(['.', ':']) || host.chars().any(|one| one.is_ascii_uppercase());
    match host {
        "index.docker.io" => Cow::Owned(format!("docker.io/{rest}")),
        _ if is_host => Cow::Borrowed(prefix),
        _ => Cow::Owned(format!("docker.io/{prefix}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_without_a_host_is_on_docker_hub() {
        for (prefix, whole) in [
            ("registry.example.com/", "registry.example.com/"),
            ("localhost/", "localhost/"),
            ("registry:5000/team/", "registry:5000/team/"),
            ("docker.io/library/", "docker.io/library/"),
            ("index.docker.io/acme/", "docker.io/acme/"),
            ("acme/", "docker.io/acme/"),
            ("library/nginx/", "docker.io/library/nginx/"),
        ] {
            assert_eq!(whole_prefix(prefix), whole);
        }
    }
}
