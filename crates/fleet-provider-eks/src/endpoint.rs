//! Where the services of AWS are: by region and partition, or all at one place when an endpoint is given.

use crate::operations::Service;

/// The endpoints of one region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    region: String,
    given: Option<String>,
}

impl Endpoints {
    /// The endpoints of a region, or `given` (what `AWS_ENDPOINT_URL` says) for every service.
    pub fn new(region: &str, given: Option<&str>) -> Self {
        let given = given.map(|url| url.trim_end_matches('/').to_owned());
        Self { region: region.to_owned(), given }
    }

    /// The region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The URL of a service, without a slash at its end.
    pub fn url(&self, service: Service) -> String {
        match &self.given {
            Some(url) => url.clone(),
            None => {
                format!("https://{}.{}.{}", service.endpoint_prefix(), self.region, dns_suffix(&self.region))
            }
        }
    }
}

/// The domain of a region's partition (AWS General Reference, partitions).
fn dns_suffix(region: &str) -> &'static str {
    match region {
        _ if region.starts_with("cn-") => "amazonaws.com.cn",
        _ if region.starts_with("us-iso-") => "c2s.ic.gov",
        _ if region.starts_with("us-isob-") => "sc2s.sgov.gov",
        _ if region.starts_with("eusc-") => "amazonaws.eu",
        _ => "amazonaws.com",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_has_its_host_unless_one_place_serves_all() {
        let germany = Endpoints::new("eu-central-1", None);
        assert_eq!(germany.url(Service::Sts), "https://sts.eu-central-1.amazonaws.com");
        assert_eq!(germany.url(Service::Tagging), "https://tagging.eu-central-1.amazonaws.com");
        let china = Endpoints::new("cn-north-1", None);
        assert_eq!(china.url(Service::Ec2), "https://ec2.cn-north-1.amazonaws.com.cn");
        let emulator = Endpoints::new("eu-central-1", Some("http://127.0.0.1:4566/"));
        assert_eq!(emulator.url(Service::Ec2), "http://127.0.0.1:4566");
    }
}
