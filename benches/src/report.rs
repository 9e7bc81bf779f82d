//! Plain tables: a name, a figure, a unit.

use std::fmt;

/// Rows in order.
#[derive(Clone, Debug, Default)]
pub struct Report {
    rows: Vec<(String, String)>,
}

impl Report {
    /// Adds a row.
    pub fn add(&mut self, name: impl Into<String>, figure: impl Into<String>) -> &mut Self {
        self.rows.push((name.into(), figure.into()));
        self
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, figure) in &self.rows {
            writeln!(f, "{name:width$}  {figure}")?;
        }
        Ok(())
    }
}

/// A whole number with separators: `6,000,000`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in MB of a million bytes.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "for people")]
pub fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// The value below which the given share of `sorted` lies; 0 if there is none.
#[must_use]
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index below the length"
    )]
    let at = (share * sorted.len() as f64) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_rows_aligned() {
        assert_eq!(
            (grouped(0), grouped(999), grouped(1000)),
            ("0".into(), "999".into(), "1,000".into())
        );
        assert_eq!(grouped(12_345_678), "12,345,678");
        let mut report = Report::default();
        report.add("a", "1").add("bbb", "2");
        assert_eq!(report.to_string(), "a    1\nbbb  2\n");
    }

    #[test]
    fn quantiles_stay_inside() {
        let sorted = [1.0, 2.0, 3.0, 4.0];
        assert_eq!((quantile(&sorted, 0.0), quantile(&sorted, 0.5)), (1.0, 3.0));
        assert_eq!((quantile(&sorted, 1.0), quantile(&[], 0.5)), (4.0, 0.0));
    }
}
