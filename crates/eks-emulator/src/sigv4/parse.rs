//! Reads who signed a request and over what, from the `Authorization` header or from the query.

use percent_encoding::percent_decode_str;

use super::SignatureFault;

/// The credential of a signature: `KEY/DATE/REGION/SERVICE/aws4_request`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialScope {
    /// The access key's id.
    pub access_key: String,
    /// The day, as `YYYYMMDD`.
    pub date: String,
    /// The region.
    pub region: String,
    /// The signing name of the service.
    pub service: String,
}

impl CredentialScope {
    /// Reads a credential.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let mut next = || parts.next().filter(|part| !part.is_empty()).map(str::to_owned);
        let scope = Self { access_key: next()?, date: next()?, region: next()?, service: next()? };
        (next()? == "aws4_request" && parts.next().is_none()).then_some(scope)
    }

    /// The scope without the access key, as the string to sign has it.
    pub fn without_key(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.date, self.region, self.service)
    }
}

/// Where a signature was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedVia {
    /// In the `Authorization` header.
    Header,
    /// In the query of a presigned URL, with its life in seconds.
    Query {
        /// `X-Amz-Expires`.
        expires: u32,
    },
}

/// What a caller claims to have signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Who, and for what.
    pub scope: CredentialScope,
    /// The names of the signed headers, lower-case, in the caller's order.
    pub headers: Vec<String>,
    /// The signature.
    pub signature: String,
    /// `X-Amz-Date`, as sent.
    pub timestamp: String,
    /// The session token, of temporary credentials.
    pub session_token: Option<String>,
    /// Where it was found.
    pub via: SignedVia,
}

impl Signed {
    /// Reads the `Authorization` header. `header` finds a header of the request by its lower-case name.
    ///
    /// # Errors
    /// When the header is not one of Signature Version 4, or has no date beside it.
    pub fn from_header<'h>(
        authorization: &str,
        header: impl Fn(&str) -> Option<&'h str>,
    ) -> Result<Self, SignatureFault> {
        let incomplete =
            |what: &str| SignatureFault::Incomplete(format!("Authorization header requires {what}."));
        let rest = authorization.strip_prefix("AWS4-HMAC-SHA256").ok_or_else(|| {
            SignatureFault::Incomplete("The algorithm must be AWS4-HMAC-SHA256.".to_owned())
        })?;
        let part = |name: &str| {
            rest.split(',')
                .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
                .ok_or_else(|| incomplete(&format!("'{name}' parameter")))
        };
        let scope =
            CredentialScope::parse(part("Credential")?).ok_or_else(|| incomplete("a valid 'Credential'"))?;
        let timestamp = header("x-amz-date").ok_or_else(|| incomplete("an 'X-Amz-Date' header"))?;
        Ok(Self {
            scope,
            headers: part("SignedHeaders")?.split(';').map(str::to_ascii_lowercase).collect(),
            signature: part("Signature")?.to_owned(),
            timestamp: timestamp.to_owned(),
            session_token: header("x-amz-security-token").map(str::to_owned),
            via: SignedVia::Header,
        })
    }

    /// Reads the query of a presigned URL; `None` when it has no signature.
    ///
    /// # Errors
    /// When a signature is there and something that it needs is not.
    pub fn from_query(query: &str) -> Result<Option<Self>, SignatureFault> {
        let find = |wanted: &str| {
            query.split('&').find_map(|pair| {
                let (name, value) = pair.split_once('=')?;
                name.eq_ignore_ascii_case(wanted)
                    .then(|| percent_decode_str(value).decode_utf8_lossy().into_owned())
            })
        };
        let Some(signature) = find("X-Amz-Signature") else { return Ok(None) };
        let need = |name: &str| {
            find(name).ok_or_else(|| SignatureFault::Incomplete(format!("The query requires '{name}'.")))
        };
        if need("X-Amz-Algorithm")? != "AWS4-HMAC-SHA256" {
            return Err(SignatureFault::Incomplete("The algorithm must be AWS4-HMAC-SHA256.".to_owned()));
        }
        let scope = CredentialScope::parse(&need("X-Amz-Credential")?).ok_or_else(|| {
            SignatureFault::Incomplete("'X-Amz-Credential' is not a credential.".to_owned())
        })?;
        let expires = need("X-Amz-Expires")?;
        Ok(Some(Self {
            scope,
            headers: need("X-Amz-SignedHeaders")?.split(';').map(str::to_ascii_lowercase).collect(),
            signature,
            timestamp: need("X-Amz-Date")?,
            session_token: find("X-Amz-Security-Token"),
            via: SignedVia::Query {
                expires: expires
                    .parse()
                    .map_err(|_| SignatureFault::Incomplete("'X-Amz-Expires' is not a number.".to_owned()))?,
            },
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authorization_header_is_read_with_its_date_and_token() {
        let authorization = "AWS4-HMAC-SHA256 Credential=AKIA/20261124/eu-central-1/eks/aws4_request, \
                             SignedHeaders=host;X-Amz-Date, Signature=abc";
        let signed = Signed::from_header(authorization, |name| match name {
            "x-amz-date" => Some("20261124T080000Z"),
            "x-amz-security-token" => Some("session"),
            _ => None,
        })
        .unwrap();
        assert_eq!(signed.scope.service, "eks");
        assert_eq!(signed.headers, ["host", "x-amz-date"]);
        assert_eq!(signed.signature, "abc");
        assert_eq!(signed.session_token.as_deref(), Some("session"));
    }

    #[test]
    fn what_is_missing_is_named() {
        for (authorization, named) in [
            ("Bearer x", "algorithm"),
            ("AWS4-HMAC-SHA256 SignedHeaders=host, Signature=a", "Credential"),
            ("AWS4-HMAC-SHA256 Credential=A/b/c, SignedHeaders=host, Signature=a", "Credential"),
            ("AWS4-HMAC-SHA256 Credential=A/1/r/s/aws4_request, Signature=a", "SignedHeaders"),
            ("AWS4-HMAC-SHA256 Credential=A/1/r/s/aws4_request, SignedHeaders=host", "Signature"),
        ] {
            let fault = Signed::from_header(authorization, |_| Some("20261124T080000Z")).unwrap_err();
            assert!(fault.to_string().contains(named), "{authorization}: {fault}");
        }
    }

    #[test]
    fn a_query_without_a_signature_is_not_presigned() {
        assert_eq!(Signed::from_query("Action=GetCallerIdentity&Version=2011-06-15"), Ok(None));
        assert!(Signed::from_query("X-Amz-Signature=a&X-Amz-Algorithm=AWS4-HMAC-SHA256").is_err());
    }
}
