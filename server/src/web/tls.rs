//! Certificates and what is agreed on with clients.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio_rustls::TlsAcceptor;

use super::WebError;
use super::file::{ClientAuth, Tls, Version};

/// What takes connections as `part` says; `http2` offers HTTP/2 beside HTTP/1.1.
pub(super) fn acceptor(part: &Tls, http2: bool) -> Result<TlsAcceptor, WebError> {
    let certificates = certificates(&part.cert_file)?;
    let key = PrivateKeyDer::from_pem_file(&part.key_file)
        .map_err(|error| wrong(&part.key_file, &format!("no private key in PEM: {error}")))?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(part))
        .map_err(|error| wrong(&part.cert_file, &error.to_string()))?;
    let builder = match &part.client_ca_file {
        Some(authorities) => {
            let roots = Arc::new(roots(authorities)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            let verifier = match part.client_auth_type {
                ClientAuth::RequireAndVerifyClientCert => verifier,
                _ => verifier.allow_unauthenticated(),
            };
            let verifier =
                verifier.build().map_err(|error| wrong(authorities, &error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let mut config = builder
        .with_single_cert(certificates, key)
        .map_err(|error| wrong(&part.cert_file, &format!("not with this key: {error}")))?;
    config.alpn_protocols = if http2 { vec![b"h2".to_vec()] } else { Vec::new() };
    config.alpn_protocols.push(b"http/1.1".to_vec());
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn versions(part: &Tls) -> Vec<&'static SupportedProtocolVersion> {
    let all = [(Version::Tls12, &TLS12), (Version::Tls13, &TLS13)];
    let allowed =
        all.into_iter().filter(|(v, _)| (part.min_version..=part.max_version).contains(v));
    allowed.map(|(_, version)| version).collect()
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, WebError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let all: Vec<_> =
        read.map_err(|error| wrong(path, &format!("no certificates in PEM: {error}")))?;
    if all.is_empty() {
        return Err(wrong(path, "no certificate in it"));
    }
    Ok(all)
}

fn roots(path: &Path) -> Result<RootCertStore, WebError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| wrong(path, &error.to_string()))?;
    }
    Ok(roots)
}

fn wrong(path: &Path, cause: &str) -> WebError {
    WebError { path: path.to_owned(), cause: cause.to_owned() }
}
