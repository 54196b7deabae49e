//! A VersionChannel.

use fleet_api::v1alpha1::VersionChannel;

use super::{Problem, References};
use crate::{field_path::FieldPath, finding::Code, metadata::dns_label};

/// The problems of a channel.
pub fn channel(channel: &VersionChannel, references: &References<'_>) -> Vec<Problem> {
    let mut problems = object_name(channel.metadata.name.as_deref().unwrap_or_default());
    let path = FieldPath::spec().field("versions");
    let offers = &channel.spec.versions;
    for (index, pair) in offers.windows(2).enumerate() {
        let [older, newer] = pair else { continue };
        let here = path.index(index + 1);
        if newer.version <= older.version {
            problems.push(
                Problem::error(
                    Code::ChannelOrder,
                    here.field("version"),
                    format!("{} stands behind {}", newer.version, older.version),
                )
                .hint("list the versions once each, oldest first"),
            );
        } else if newer.from < older.from {
            let hint = "give the newer version the later day in `from`";
            problems.push(
                Problem::error(
                    Code::ChannelOrder,
                    here.field("from"),
                    format!("{} is offered before {}", newer.version, older.version),
                )
                .hint(hint),
            );
        }
    }
    for (index, offer) in offers.iter().enumerate() {
        if let (Some(from), Some(until)) = (offer.from, offer.until)
            && until < from
        {
            let here = path.index(index).field("until");
            let message =
                format!("{} may be kept until {until}, and is offered from {from} on", offer.version);
            problems.push(
                Problem::error(Code::SpanBackwards, here, message)
                    .hint("exchange the days, or mend the year"),
            );
        }
    }
    if !offers.is_empty() && references.current(channel).is_none() {
        problems.push(
            Problem::error(
                Code::ChannelOrder,
                path,
                format!("the channel offers no version on {}: every `from` lies ahead", references.today),
            )
            .hint("leave out `from` of the oldest version"),
        );
    }
    problems
}

/// The problem of a name that is not a DNS label: names of classes, baselines and channels become label values.
pub(super) fn object_name(name: &str) -> Vec<Problem> {
    if dns_label(name) {
        return Vec::new();
    }
    vec![
        Problem::error(
            Code::InvalidName,
            FieldPath::name(),
            format!("`{}` is not a DNS label", crate::text::shown(name)),
        )
        .hint("use at most 63 lower-case letters, digits and `-`, with a letter or digit at both ends"),
    ]
}
