//! DescribeClusterVersions: the calendar.

use jiff::{civil::Date, tz::TimeZone};
use serde_json::{Value, json};

use super::{
    Answer, Call, Input,
    catalogue::{self, Support, VERSIONS},
};
use crate::{clock::Epoch, error::ApiError};

/// Source: docs (without `includeAll` only minors that are supported are answered).
pub(super) fn describe(call: &mut Call<'_>, input: &Input) -> Answer {
    // Source: model (`status` is the older spelling of `versionStatus`).
    let status = match (input.query("versionStatus"), input.query("status")) {
        (Some(status), _) => Some(status.to_owned()),
        (None, Some(status)) => Some(status.replace('-', "_").to_ascii_uppercase()),
        (None, None) => None,
    };
    let wanted = input.query_list("clusterVersions");
    if let Some(unknown) = wanted.iter().find(|text| !VERSIONS.iter().any(|v| v.minor.to_string() == **text))
    {
        return Err(ApiError::invalid_parameter(format!("The version {unknown} is not valid.")));
    }
    if input.query("clusterType").is_some_and(|kind| kind != "eks") {
        return Err(ApiError::invalid_parameter("The emulator has clusters of type `eks` only."));
    }
    let mut items: Vec<(String, Value)> = Vec::new();
    for offer in VERSIONS.iter().rev() {
        let support = offer.support(call.now);
        let text = offer.minor.to_string();
        let default = offer.minor == catalogue::DEFAULT_VERSION;
        let named = wanted.contains(&text.as_str());
        let shown = named || input.flag("includeAll") || support != Support::Unsupported;
        let fits = (wanted.is_empty() || named)
            && (!input.flag("defaultOnly") || default)
            && status.as_deref().is_none_or(|status| status == words(support).0);
        if !(shown && fits) {
            continue;
        }
        // Newest first (source: docs); the key keeps that order across pages.
        let key = format!("{:03}", 999 - offer.minor.0);
        items.push((
            key,
            json!({
                "clusterVersion": text,
                "clusterType": "eks",
                "defaultPlatformVersion": catalogue::platform_version(offer.minor),
                "defaultVersion": default,
                "releaseDate": day(offer.released),
                "endOfStandardSupportDate": day(offer.standard_ends),
                "endOfExtendedSupportDate": day(offer.extended_ends),
                "status": words(support).1,
                "versionStatus": words(support).0,
                "kubernetesPatchVersion": format!("{text}.{}", offer.patch),
            }),
        ));
    }
    input.page("clusterVersions", items)
}

fn words(support: Support) -> (&'static str, &'static str) {
    match support {
        Support::Standard => ("STANDARD_SUPPORT", "standard-support"),
        Support::Extended => ("EXTENDED_SUPPORT", "extended-support"),
        Support::Unsupported => ("UNSUPPORTED", "unsupported"),
    }
}

/// 00:00 UTC of a day.
fn day(date: Date) -> Option<Epoch> {
    date.to_zoned(TimeZone::UTC).ok().map(|zoned| Epoch(zoned.timestamp()))
}
