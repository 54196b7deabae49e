//! Launch templates: what fleet writes into them, and what it reads back.

use std::collections::BTreeMap;

use fleet_api::{
    eks::{EksLaunchTemplate, LaunchTemplateRequest},
    labels,
};
use fleet_provider::ErrorClass;
use futures::future::try_join_all;

use crate::{
    error::CallError,
    session::Session,
    signed::Call,
    xml::{self, Node},
};

/// What one version of a template holds. It never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TemplateVersion {
    imds_v2_required: bool,
    hop_limit: Option<i32>,
    disk_gib: Option<i32>,
}

/// The call that makes a template. The token makes a repeated call answer as the first did.
pub(crate) fn create(request: &LaunchTemplateRequest, token: &str) -> Call {
    let mut parameters = Parameters::default();
    parameters.add("LaunchTemplateName", &request.name);
    parameters.add("ClientToken", token);
    parameters.tags("TagSpecification.1", "launch-template", &request.tags);
    parameters.data(request);
    Call::ec2("CreateLaunchTemplate", &parameters.0)
}

/// The call that makes a new version of a template.
pub(crate) fn create_version(id: &str, request: &LaunchTemplateRequest, token: &str) -> Call {
    let mut parameters = Parameters::default();
    parameters.add("LaunchTemplateId", id);
    parameters.add("ClientToken", token);
    parameters.data(request);
    Call::ec2("CreateLaunchTemplateVersion", &parameters.0)
}

/// The call that deletes a template with all its versions.
pub(crate) fn delete(id: &str) -> Call {
    let mut parameters = Parameters::default();
    parameters.add("LaunchTemplateId", id);
    Call::ec2("DeleteLaunchTemplate", &parameters.0)
}

/// Parameters of EC2's query protocol, in the order they were added.
#[derive(Debug, Default)]
pub(crate) struct Parameters(pub(crate) Vec<(String, String)>);

impl Parameters {
    pub(crate) fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// The n-th filter, n from 1.
    pub(crate) fn filter(&mut self, n: usize, name: &str, values: &[&str]) {
        self.add(format!("Filter.{n}.Name"), name);
        for (index, value) in values.iter().enumerate() {
            self.add(format!("Filter.{n}.Value.{}", index + 1), *value);
        }
    }

    fn tags(&mut self, at: &str, resource: &str, tags: &BTreeMap<String, String>) {
        self.add(format!("{at}.ResourceType"), resource);
        for (index, (key, value)) in tags.iter().enumerate() {
            self.add(format!("{at}.Tag.{}.Key", index + 1), key);
            self.add(format!("{at}.Tag.{}.Value", index + 1), value);
        }
    }

    /// IMDSv2 is required, and its answers live for one hop, so that pods do not reach the node's credentials
    /// (hardening control POD-7). Every volume is encrypted. Instances and volumes carry the tags too, so that
    /// what outlives the cluster is found.
    fn data(&mut self, request: &LaunchTemplateRequest) {
        let data = "LaunchTemplateData";
        self.add(format!("{data}.MetadataOptions.HttpEndpoint"), "enabled");
        self.add(format!("{data}.MetadataOptions.HttpTokens"), "required");
        self.add(format!("{data}.MetadataOptions.HttpPutResponseHopLimit"), "1");
        let size = request.disk_gib.to_string();
        // Bottlerocket's first device holds the system, in the size of its image.
        let devices: &[(&str, Option<&str>)] = if request.bottlerocket {
            &[("/dev/xvda", None), ("/dev/xvdb", Some(&size))]
        } else {
            &[("/dev/xvda", Some(&size))]
        };
        for (index, (name, size)) in devices.iter().enumerate() {
            let device = format!("{data}.BlockDeviceMapping.{}", index + 1);
            self.add(format!("{device}.DeviceName"), *name);
            self.add(format!("{device}.Ebs.VolumeType"), "gp3");
            self.add(format!("{device}.Ebs.Encrypted"), "true");
            self.add(format!("{device}.Ebs.DeleteOnTermination"), "true");
            if let Some(size) = size {
                self.add(format!("{device}.Ebs.VolumeSize"), *size);
            }
        }
        for (index, resource) in ["instance", "volume"].iter().enumerate() {
            self.tags(&format!("{data}.TagSpecification.{}", index + 1), resource, &request.tags);
        }
    }
}

/// The templates that carry the owner's tag; with a name, only the one of that name.
pub(crate) async fn owned_by(
    session: &Session,
    owner_uid: &str,
    name: Option<&str>,
) -> Result<Vec<EksLaunchTemplate>, CallError> {
    let mut parameters = Parameters::default();
    parameters.filter(1, &format!("tag:{}", labels::TAG_OWNER), &[owner_uid]);
    if let Some(name) = name {
        parameters.filter(2, "launch-template-name", &[name]);
    }
    let templates = xml::pages(session, "DescribeLaunchTemplates", parameters, |page| {
        page.items("launchTemplates").map(|item| Head::read(&item)).collect()
    })
    .await?;
    try_join_all(templates.into_iter().map(|head| head.with_newest_version(session))).await
}

/// A template without what is in it.
struct Head {
    id: Option<String>,
    name: Option<String>,
    version: Option<String>,
}

impl Head {
    fn read(item: &Node<'_>) -> Self {
        Self {
            id: item.text("launchTemplateId"),
            name: item.text("launchTemplateName"),
            version: item.text("latestVersionNumber"),
        }
    }

    async fn with_newest_version(self, session: &Session) -> Result<EksLaunchTemplate, CallError> {
        let Self { id: Some(id), name: Some(name), version: Some(version) } = self else {
            return Err(unreadable("DescribeLaunchTemplates", "a template without id, name or version"));
        };
        let kept = session.cache.template(&id, &version);
        let content = match kept {
            Some(content) => content,
            None => {
                let content = read_version(session, &id, &version).await?;
                session.cache.keep_template(&id, &version, content.clone());
                content
            }
        };
        let TemplateVersion { imds_v2_required, hop_limit, disk_gib } = content;
        Ok(EksLaunchTemplate { id, name, version, imds_v2_required, hop_limit, disk_gib })
    }
}

async fn read_version(session: &Session, id: &str, version: &str) -> Result<TemplateVersion, CallError> {
    let mut parameters = Parameters::default();
    parameters.add("LaunchTemplateId", id);
    parameters.add("LaunchTemplateVersion.1", version);
    let versions = xml::pages(session, "DescribeLaunchTemplateVersions", parameters, |page| {
        page.items("launchTemplateVersionSet")
            .filter_map(|item| item.child("launchTemplateData"))
            .map(content)
            .collect()
    })
    .await?;
    versions
        .into_iter()
        .next()
        .ok_or_else(|| unreadable("DescribeLaunchTemplateVersions", "no version where one was asked for"))
}

fn content(data: Node<'_>) -> TemplateVersion {
    let metadata = data.child("metadataOptions");
    // The data volume is the last device: the only one, or Bottlerocket's second.
    let disk = data
        .items("blockDeviceMappingSet")
        .filter_map(|device| Some((device.text("deviceName")?, device.child("ebs")?.number("volumeSize")?)))
        .max_by(|(a, _), (b, _)| a.cmp(b));
    TemplateVersion {
        imds_v2_required: metadata
            .and_then(|metadata| metadata.text("httpTokens"))
            .is_some_and(|tokens| tokens == "required"),
        hop_limit: metadata.and_then(|metadata| metadata.number("httpPutResponseHopLimit")),
        disk_gib: disk.map(|(_, size)| size),
    }
}

fn unreadable(operation: &'static str, message: &str) -> CallError {
    CallError {
        class: ErrorClass::Unknown,
        operation,
        code: None,
        message: Some(format!("the answer has {message}")),
        source: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(bottlerocket: bool) -> LaunchTemplateRequest {
        LaunchTemplateRequest {
            name: "acme-workers".to_owned(),
            disk_gib: 80,
            bottlerocket,
            tags: BTreeMap::from([(labels::TAG_OWNER.to_owned(), "uid".to_owned())]),
        }
    }

    fn lines(call: &Call) -> Vec<String> {
        let decoded = percent_encoding::percent_decode_str(call.body()).decode_utf8().unwrap().into_owned();
        decoded.split('&').map(str::to_owned).collect()
    }

    #[test]
    fn a_template_demands_imds_v2_and_encrypts_every_volume() {
        let lines = lines(&create(&request(true), "token"));
        for line in [
            "ClientToken=token",
            "LaunchTemplateData.MetadataOptions.HttpTokens=required",
            "LaunchTemplateData.MetadataOptions.HttpPutResponseHopLimit=1",
            "LaunchTemplateData.BlockDeviceMapping.1.DeviceName=/dev/xvda",
            "LaunchTemplateData.BlockDeviceMapping.1.Ebs.Encrypted=true",
            "LaunchTemplateData.BlockDeviceMapping.2.DeviceName=/dev/xvdb",
            "LaunchTemplateData.BlockDeviceMapping.2.Ebs.Encrypted=true",
            "LaunchTemplateData.BlockDeviceMapping.2.Ebs.VolumeSize=80",
            "TagSpecification.1.ResourceType=launch-template",
            "TagSpecification.1.Tag.1.Key=tenantfleet.dev/cluster-uid",
            "LaunchTemplateData.TagSpecification.2.ResourceType=volume",
        ] {
            assert!(lines.iter().any(|other| other == line), "{line} is not in {lines:#?}");
        }
        assert!(
            !lines
                .iter()
                .any(|line| line.starts_with("LaunchTemplateData.BlockDeviceMapping.1.Ebs.VolumeSize"))
        );
    }

    #[test]
    fn amazon_linux_has_one_volume() {
        let lines = lines(&create_version("lt-1", &request(false), "token"));
        assert!(lines.contains(&"LaunchTemplateData.BlockDeviceMapping.1.Ebs.VolumeSize=80".to_owned()));
        assert!(!lines.iter().any(|line| line.contains("BlockDeviceMapping.2")));
    }

    #[test]
    fn what_a_version_holds_is_read_back() {
        let text = "<r><launchTemplateData><metadataOptions><httpTokens>required</httpTokens>\
            <httpPutResponseHopLimit>1</httpPutResponseHopLimit></metadataOptions><blockDeviceMappingSet>\
            <item><deviceName>/dev/xvdb</deviceName><ebs><volumeSize>80</volumeSize></ebs></item>\
            <item><deviceName>/dev/xvda</deviceName><ebs><volumeSize>4</volumeSize></ebs></item>\
            </blockDeviceMappingSet></launchTemplateData></r>";
        let document = roxmltree::Document::parse(text).unwrap();
        let data = Node::root(&document).child("launchTemplateData").unwrap();
        let expected = TemplateVersion { imds_v2_required: true, hop_limit: Some(1), disk_gib: Some(80) };
        assert_eq!(content(data), expected);
    }
}
