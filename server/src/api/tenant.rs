//! The tenant of a request: `X-Scope-OrgID`, or `anonymous`.

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::ApiError;

/// Header that names the tenant.
pub const TENANT_HEADER: &str = "x-scope-orgid";
/// The tenant of requests without the header.
pub const ANONYMOUS: &str = "anonymous";
/// Longest name of a tenant.
const TENANT_BYTES_MAX: usize = 64;

/// A checked name of a tenant: 1 to 64 of `A–Z a–z 0–9 _ -`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant(String);

impl AsRef<str> for Tenant {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Tenant {
    /// The tenant of requests that name none.
    #[must_use]
    pub fn anonymous() -> Self {
        Self(ANONYMOUS.to_owned())
    }

    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Checks a name.
    ///
    /// # Errors
    /// If it is empty, too long, or has other characters.
    pub fn parse(name: &[u8]) -> Result<Self, ApiError> {
        let allowed = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        if name.is_empty() || name.len() > TENANT_BYTES_MAX || !name.iter().all(allowed) {
            return Err(ApiError::bad_data(format!(
                "X-Scope-OrgID is {} bytes and must be 1 to {TENANT_BYTES_MAX} of \
                 A-Z, a-z, 0-9, _ and -",
                name.len()
            )));
        }
        Ok(Self(String::from_utf8_lossy(name).into_owned()))
    }

    /// The tenant these headers name.
    ///
    /// # Errors
    /// If the name is not allowed, or there are several.
    pub fn from_headers(headers: &http::HeaderMap) -> Result<Self, ApiError> {
        let mut values = headers.get_all(TENANT_HEADER).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(Self::anonymous()),
            (Some(name), None) => Self::parse(name.as_bytes()),
            (Some(_), Some(_)) => Err(ApiError::bad_data("X-Scope-OrgID comes more than once")),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Tenant {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        Self::from_headers(&parts.headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert_eq!(Tenant::parse(b"Fleet_7-a").map(|t| t.0).ok().as_deref(), Some("Fleet_7-a"));
        let long = [b'a'; 65];
        let bad: [&[u8]; 8] =
            [b"", b".", b"..", b"a/b", b"%2e%2e", b"a\0", "é".as_bytes(), long.as_slice()];
        for name in bad {
            assert!(Tenant::parse(name).is_err(), "{name:?}");
        }
    }
}
