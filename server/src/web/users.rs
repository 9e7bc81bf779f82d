//! Names and passwords (RFC 7617). Passwords are kept as bcrypt hashes, which take tens of
//! milliseconds to check on purpose; so what was checked is remembered, by a digest under a key that
//! only this process has.

use std::collections::{BTreeMap, HashSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use ring::hmac;
use ring::rand::{self, SystemRandom};

/// Wrong pairs kept; beyond, all are forgotten. Right ones are at most as many as there are users.
const WRONG_MAX: usize = 1024;
/// Longest header looked at, in bytes.
const HEADER_BYTES_MAX: usize = 1024;
/// Highest cost of a hash: each step doubles the time, and at this one it takes some seconds.
const COST_MAX: u32 = 16;

/// Who may ask.
pub struct Users {
    hashes: BTreeMap<String, String>,
    /// A hash whose password nobody knows, checked for names that do not exist, so that time does
    /// not tell them.
    nobody: String,
    key: hmac::Key,
    checked: Mutex<Checked>,
}

/// Digests of the pairs that were checked.
#[derive(Default)]
struct Checked {
    right: HashSet<Digest>,
    wrong: HashSet<Digest>,
}

type Digest = [u8; 32];

impl Users {
    /// Users by name, with the bcrypt hashes of their passwords.
    ///
    /// # Errors
    /// If one is no bcrypt hash, or takes too long to check.
    pub(super) fn new(hashes: BTreeMap<String, String>) -> Result<Self, String> {
        let mut cost = None;
        for (name, hash) in &hashes {
            let parts: bcrypt::HashParts = hash.parse().map_err(|_| {
                format!("basic_auth_users: the value of {name:?} is no bcrypt hash ($2b$…)")
            })?;
            if parts.get_cost() > COST_MAX {
                let cost = parts.get_cost();
                return Err(format!(
                    "basic_auth_users: the hash of {name:?} has cost {cost}; at most {COST_MAX} is taken"
                ));
            }
            cost = cost.max(Some(parts.get_cost()));
        }
        let no_numbers = |_| "the system gives no random numbers".to_owned();
        let random = SystemRandom::new();
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &random).map_err(no_numbers)?;
        let nobody = match cost {
            Some(cost) => {
                let secret: [u8; 32] = rand::generate(&random).map_err(no_numbers)?.expose();
                let salt: [u8; 16] = rand::generate(&random).map_err(no_numbers)?.expose();
                let parts = bcrypt::hash_with_salt(secret.map(|byte| byte | 1), cost, salt);
                parts.map_err(|error| error.to_string())?.to_string()
            }
            None => String::new(),
        };
        Ok(Self { hashes, nobody, key, checked: Mutex::default() })
    }

    /// Whether anybody may ask.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Whether `header`, the value of `Authorization`, is that of a user, if it was checked before
    /// or can be told without.
    #[must_use]
    pub fn known(&self, header: &[u8]) -> Option<bool> {
        if header.len() > HEADER_BYTES_MAX {
            return Some(false);
        }
        let Some((name, password)) = credentials(header) else { return Some(false) };
        let digest = self.digest(&name, &password);
        let checked = self.checked.lock();
        if checked.right.contains(&digest) {
            return Some(true);
        }
        checked.wrong.contains(&digest).then_some(false)
    }

    /// Whether `header` is that of a user. Takes long: not for socket threads.
    #[must_use]
    pub fn check(&self, header: &[u8]) -> bool {
        let Some((name, password)) = credentials(header) else { return false };
        let hash = self.hashes.get(&name);
        let fits = bcrypt::verify(&password, hash.unwrap_or(&self.nobody)).unwrap_or(false);
        let good = fits && hash.is_some();
        let digest = self.digest(&name, &password);
        let mut checked = self.checked.lock();
        if good {
            checked.right.insert(digest);
        } else {
            if checked.wrong.len() >= WRONG_MAX {
                checked.wrong.clear();
            }
            checked.wrong.insert(digest);
        }
        good
    }

    fn digest(&self, name: &str, password: &[u8]) -> Digest {
        let mut signed = hmac::Context::with_key(&self.key);
        // A name has no colon.
        signed.update(name.as_bytes());
        signed.update(b":");
        signed.update(password);
        let mut digest = [0; 32];
        digest.copy_from_slice(signed.sign().as_ref());
        digest
    }
}

/// Name and password of `Basic <base64 of name:password>`.
fn credentials(header: &[u8]) -> Option<(String, Vec<u8>)> {
    let (scheme, rest) = header.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let text = STANDARD.decode(rest.trim_ascii()).ok()?;
    let colon = text.iter().position(|byte| *byte == b':')?;
    let name = String::from_utf8(text[..colon].to_vec()).ok()?;
    Some((name, text[colon + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> Users {
        let hash = bcrypt::hash("secret:word", 4).unwrap();
        Users::new(BTreeMap::from([("ann".to_owned(), hash)])).unwrap()
    }

    fn header(text: &str) -> Vec<u8> {
        format!("Basic {}", STANDARD.encode(text)).into_bytes()
    }

    #[test]
    fn only_name_and_password_together_open() {
        let users = users();
        let right = header("ann:secret:word");
        assert_eq!(users.known(&right), None);
        assert!(users.check(&right));
        assert_eq!(users.known(&right), Some(true));
        for wrong in ["ann:secret", "ann:", "bob:secret:word", ":secret:word", "Ann:secret:word"] {
            assert!(!users.check(&header(wrong)), "{wrong}");
            assert_eq!(users.known(&header(wrong)), Some(false), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_credential_is_refused_without_work() {
        let users = users();
        let long = header(&"x:".repeat(HEADER_BYTES_MAX));
        let all: [&[u8]; 7] =
            [b"", b"Basic", b"Basic ", b"Basic !!", b"Bearer abc", b"Basic YW5u", &long];
        for text in all {
            assert_eq!(users.known(text), Some(false), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_hash_or_takes_too_long_is_told() {
        let told = |hash: &str| {
            let users = Users::new(BTreeMap::from([("ann".to_owned(), hash.to_owned())]));
            users.err().unwrap()
        };
        assert!(told("secret").contains("\"ann\" is no bcrypt hash"));
        let slow = bcrypt::hash("x", 4).unwrap().replace("$04$", "$31$");
        assert!(told(&slow).contains("cost 31; at most 16"));
    }

    #[test]
    fn wrong_pairs_are_forgotten_rather_than_kept_without_bound_and_right_ones_stay() {
        let users = users();
        let right = header("ann:secret:word");
        assert!(users.check(&right));
        for i in 0..WRONG_MAX {
            let digest = users.digest("ann", &i.to_le_bytes());
            users.checked.lock().wrong.insert(digest);
        }
        assert!(!users.check(&header("ann:secret")));
        assert_eq!(users.checked.lock().wrong.len(), 1);
        assert_eq!(users.known(&right), Some(true));
    }
}
