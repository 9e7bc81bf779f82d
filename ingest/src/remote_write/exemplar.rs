//! The rules for the labels of an exemplar (OpenMetrics, as Prometheus applies them).

use ephemeris_model::Labels;

use super::labels::Pair;

/// Characters that names and values of all labels of an exemplar may have together.
const EXEMPLAR_CHARS_MAX: usize = 128;

/// The pairs of one exemplar; keeps no more of them than a valid one can have.
#[derive(Default)]
pub(super) struct ExemplarPairs<'a> {
    pairs: Vec<Pair<'a>>,
}

impl<'a> ExemplarPairs<'a> {
    /// Adds a pair. Each has at least one character, so that what lies beyond the limit need not
    /// be kept to be refused.
    pub(super) fn push(&mut self, pair: Pair<'a>) {
        if self.pairs.len() <= EXEMPLAR_CHARS_MAX {
            self.pairs.push(pair);
        }
    }

    /// The label set, if all rules are kept.
    pub(super) fn finish(mut self) -> Result<Labels, String> {
        if self.pairs.len() > EXEMPLAR_CHARS_MAX {
            return Err(format!("exemplar has more than {EXEMPLAR_CHARS_MAX} labels"));
        }
        self.pairs.sort_unstable();
        let mut chars = 0;
        let mut labels: Vec<(&str, &str)> = Vec::with_capacity(self.pairs.len());
        for (name, value) in &self.pairs {
            let text = |bytes| simdutf8::basic::from_utf8(bytes);
            let (Ok(name), Ok(value)) = (text(name), text(value)) else {
                return Err("label of exemplar is not UTF-8".to_owned());
            };
            if name.is_empty() {
                return Err("label of exemplar has an empty name".to_owned());
            }
            if labels.last().is_some_and(|(last, _)| *last == name) {
                return Err(format!("label {name:?} of exemplar comes twice"));
            }
            chars += name.chars().count() + value.chars().count();
            labels.push((name, value));
        }
        if chars > EXEMPLAR_CHARS_MAX {
            return Err(format!(
                "labels of exemplar have {chars} characters; limit is {EXEMPLAR_CHARS_MAX}"
            ));
        }
        Ok(Labels::from_sorted(labels.into_iter().filter(|(_, value)| !value.is_empty())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finish(pairs: &[(&str, &str)]) -> Result<String, String> {
        let mut all = ExemplarPairs::default();
        for (name, value) in pairs {
            all.push((name.as_bytes(), value.as_bytes()));
        }
        all.finish().map(|labels| labels.to_string())
    }

    #[test]
    fn pairs_become_a_label_set() {
        assert_eq!(finish(&[]), Ok("{}".to_owned()));
        assert_eq!(
            finish(&[("z", "1"), ("trace_id", "ä"), ("e", "")]),
            Ok(r#"{trace_id="ä", z="1"}"#.to_owned())
        );
    }

    #[test]
    fn the_limit_counts_characters_not_bytes() {
        let fits = "ä".repeat(127);
        assert!(finish(&[("a", &fits)]).is_ok());
        let text = "labels of exemplar have 129 characters; limit is 128";
        assert_eq!(finish(&[("a", &fits), ("b", "")]), Err(text.to_owned()));
        assert_eq!(finish(&[("", ""); 1000]), Err("exemplar has more than 128 labels".to_owned()));
    }

    #[test]
    fn broken_labels_are_refused() {
        assert_eq!(finish(&[("", "x")]), Err("label of exemplar has an empty name".to_owned()));
        assert_eq!(
            finish(&[("a", "x"), ("b", ""), ("a", "")]),
            Err("label \"a\" of exemplar comes twice".to_owned())
        );
        let mut pairs = ExemplarPairs::default();
        pairs.push((b"a", b"\xff"));
        assert!(matches!(pairs.finish(), Err(text) if text == "label of exemplar is not UTF-8"));
    }
}
