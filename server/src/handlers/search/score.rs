//! How well a name fits what was typed: from 1 (the same) down to 0 (not at all).

/// What a name that begins with the term scores.
const PREFIX: f64 = 0.95;
/// What a name that holds the term scores at least.
const INSIDE: f64 = 0.9;

/// Longest name that is compared letter by letter, in bytes.
const FUZZY_NAME_BYTES_MAX: usize = 1024;

/// How to compare when a name does not hold the term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// The letters of the term, in order, with gaps; the shorter the stretch the better.
    Subsequence,
    /// Jaro-Winkler similarity.
    JaroWinkler,
}

/// Whether upper and lower case differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    /// They do.
    Sensitive,
    /// They do not.
    Folded,
}

/// What was typed, and how it is looked for.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    terms: Vec<String>,
    case: Case,
    /// Fuzzy scores below this do not count; none at all if it is missing.
    fuzzy: Option<(Algorithm, f64)>,
}

impl Terms {
    /// `fuzzy` is the algorithm and the lowest score that counts.
    pub(super) fn new<'a>(
        terms: impl Iterator<Item = &'a str>,
        case: Case,
        fuzzy: Option<(Algorithm, f64)>,
    ) -> Self {
        let fold = |term: &str| match case {
            Case::Sensitive => term.to_owned(),
            Case::Folded => term.to_lowercase(),
        };
        Self { terms: terms.filter(|t| !t.is_empty()).map(fold).collect(), case, fuzzy }
    }

    /// The score of `name` for the term it fits best; none if it fits no term.
    pub(super) fn score(&self, name: &str) -> Option<f64> {
        if self.terms.is_empty() {
            return Some(1.0);
        }
        let folded;
        let name = match self.case {
            Case::Sensitive => name,
            Case::Folded => {
                folded = name.to_lowercase();
                &folded
            }
        };
        self.terms.iter().filter_map(|term| self.score_one(term, name)).max_by(f64::total_cmp)
    }

    fn score_one(&self, term: &str, name: &str) -> Option<f64> {
        if name == term {
            return Some(1.0);
        }
        if let Some(at) = name.find(term) {
            let share = term.len() as f64 / name.len() as f64;
            let floor = if at == 0 { PREFIX } else { INSIDE };
            return Some(floor + share * 0.04);
        }
        let (algorithm, least) = self.fuzzy.filter(|_| name.len() <= FUZZY_NAME_BYTES_MAX)?;
        let score = match algorithm {
            Algorithm::Subsequence => subsequence(term, name),
            Algorithm::JaroWinkler => strsim::jaro_winkler(term, name),
        };
        // What only resembles the term comes after what holds it.
        (score > 0.0 && score >= least).then_some(score.min(INSIDE - 0.01))
    }
}

/// Length of the term through length of the stretch of `name` that holds its letters in order;
/// the stretch is the one that ends first.
fn subsequence(term: &str, name: &str) -> f64 {
    let letters: Vec<char> = name.chars().collect();
    let wanted: Vec<char> = term.chars().collect();
    let mut next = wanted.iter();
    let Some(mut letter) = next.next() else { return 0.0 };
    let mut end = None;
    for (i, have) in letters.iter().enumerate() {
        if have != letter {
            continue;
        }
        let Some(following) = next.next() else {
            end = Some(i);
            break;
        };
        letter = following;
    }
    let Some(end) = end else { return 0.0 };
    let mut left = wanted.iter().rev().peekable();
    let mut start = end;
    for i in (0..=end).rev() {
        if left.next_if_eq(&&letters[i]).is_some() {
            start = i;
        }
    }
    wanted.len() as f64 / (end - start + 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(term: &str, name: &str, fuzzy: Option<(Algorithm, f64)>) -> Option<f64> {
        Terms::new([term].into_iter(), Case::Folded, fuzzy).score(name)
    }

    #[test]
    fn the_closer_the_higher() {
        let fuzzy = Some((Algorithm::Subsequence, 0.1));
        let names = ["http", "http_requests", "x_http_requests", "h_t_t_p", "h__t__t__p"];
        let scores: Vec<f64> = names.iter().filter_map(|name| score("HTTP", name, fuzzy)).collect();
        assert_eq!(scores.len(), names.len());
        assert!(scores.is_sorted_by(|a, b| a > b), "{scores:?}");
        assert_eq!(score("http", "node_load1", fuzzy), None);
        let long = "x".repeat(1100);
        assert_eq!(score("http", &format!("h_t_t_p{long}"), fuzzy), None, "too long to compare");
        assert!(score("http", &format!("http{long}"), fuzzy).is_some());
    }

    #[test]
    fn without_a_threshold_a_name_must_hold_the_term() {
        assert_eq!(score("http", "h_t_t_p", None), None);
        assert!(score("http", "my_HTTP_x", None).is_some());
        let exact = Terms::new(["HTTP"].into_iter(), Case::Sensitive, None);
        assert_eq!(exact.score("http"), None);
        assert_eq!(Terms::new([].into_iter(), Case::Sensitive, None).score("x"), Some(1.0));
    }

    #[test]
    fn a_stretch_begins_as_late_as_it_can() {
        assert!((subsequence("ab", "a_a_ab") - 1.0).abs() < f64::EPSILON);
        assert!((subsequence("ab", "xaxb") - 2.0 / 3.0).abs() < f64::EPSILON);
        assert!(subsequence("abc", "ab") == 0.0);
        assert!(score("jobs", "jbo", Some((Algorithm::JaroWinkler, 0.5))).is_some());
    }
}
