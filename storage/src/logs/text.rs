//! The lines of a page, packed: as they are, or with their digits apart.
//!
//! Most of a log line is said again and again, but for its numbers. Zipped together, every number
//! ends a match and is written in the code of letters; apart, the lines zip to little and a digit
//! takes what it tells, which is 3.3 bits at most.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;

use super::digits::{BAD_DIGITS, count, join, split};
use crate::encoding::{Damage, Input, put_bytes};
use crate::envelope::{Zip, put_packed, read_packed};
use crate::error::Result;

/// How many bytes tell which form is the smaller one.
const SAMPLE_BYTES: usize = 16 << 10;
/// With fewer digits in a hundred bytes they stay where they are.
const DIGITS_PERCENT_MIN: usize = 4;

/// How lines are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Packed as they are.
    Whole,
    /// Every digit is `0`, and all digits follow, each packed for itself.
    DigitsApart,
}

/// The form that is smaller, as far as the beginning of the text tells.
///
/// # Errors
/// As for [`put`].
pub fn smaller_form(text: &[u8]) -> Result<Form> {
    let sample = &text[..text.len().min(SAMPLE_BYTES)];
    let digits = sample.iter().filter(|byte| byte.is_ascii_digit()).count();
    if digits * 100 < sample.len() * DIGITS_PERCENT_MIN {
        return Ok(Form::Whole);
    }
    let size = |form| {
        let mut out = Vec::with_capacity(SAMPLE_BYTES);
        put(sample, form, &mut out).map(|()| out.len())
    };
    Ok(if size(Form::DigitsApart)? < size(Form::Whole)? { Form::DigitsApart } else { Form::Whole })
}

/// Appends a text in a form.
///
/// # Errors
/// If it is over the limit of a value.
pub fn put(text: &[u8], form: Form, out: &mut Vec<u8>) -> Result<()> {
    if form == Form::Whole {
        return put_packed(text, Zip::IfSmaller, out);
    }
    let (masked, digits) = split(text);
    let mut packed = Vec::with_capacity(text.len() / 8 + 64);
    put_packed(&masked, Zip::IfSmaller, &mut packed)?;
    put_bytes(out, &packed);
    put_packed(&digits, Zip::IfSmaller, out)
}

/// The text [`put`] wrote, which takes all of `bytes`.
///
/// # Errors
/// If it is damaged.
pub fn read(bytes: &[u8], form: Form) -> Result<Cow<'_, [u8]>, Damage> {
    match Text::open(bytes, form)? {
        Text::Whole(text) => Ok(text),
        Text::Masked(masked) => masked.whole().map(Cow::Owned),
    }
}

/// Whether `digits` follow one another among those of a text whose digits are apart; only these are
/// unpacked.
///
/// # Errors
/// If it is damaged.
pub(super) fn has_digits(bytes: &[u8], digits: &[u8]) -> Result<bool, Damage> {
    let mut input = Input::new(bytes);
    input.bytes()?;
    Ok(memmem::find(&read_packed(input)?, digits).is_some())
}

/// A text as it was packed.
pub(super) enum Text<'a> {
    Whole(Cow<'a, [u8]>),
    Masked(Masked<'a>),
}

/// A text whose digits are apart.
pub(super) struct Masked<'a> {
    /// With `0` for every digit.
    pub(super) text: Cow<'a, [u8]>,
    /// Packed.
    digits: &'a [u8],
}

impl<'a> Text<'a> {
    /// Unpacks a text; digits that are apart stay packed.
    ///
    /// # Errors
    /// If it is damaged.
    pub(super) fn open(bytes: &'a [u8], form: Form) -> Result<Self, Damage> {
        let mut input = Input::new(bytes);
        if form == Form::Whole {
            return read_packed(input).map(Text::Whole);
        }
        let text = read_packed(Input::new(input.bytes()?))?;
        Ok(Self::Masked(Masked { text, digits: input.rest() }))
    }
}

impl<'a> Masked<'a> {
    /// The text with its digits.
    ///
    /// # Errors
    /// If they do not fit it.
    pub(super) fn whole(self) -> Result<Vec<u8>, Damage> {
        let digits = self.digits()?;
        let mut text = self.text.into_owned();
        if join(&mut text, &digits)? == digits.len() { Ok(text) } else { Err(BAD_DIGITS) }
    }

    /// All digits in their order.
    fn digits(&self) -> Result<Cow<'a, [u8]>, Damage> {
        let digits = read_packed(Input::new(self.digits))?;
        if digits.iter().all(u8::is_ascii_digit) { Ok(digits) } else { Err(BAD_DIGITS) }
    }

    /// Gives parts of the text their digits.
    ///
    /// # Errors
    /// If the digits are damaged.
    pub(super) fn parts(&self) -> Result<Parts<'_>, Damage> {
        Ok(Parts { text: &self.text, digits: self.digits()?, at: 0, before: 0 })
    }
}

/// Gives parts of a text their digits, one after the other.
pub(super) struct Parts<'a> {
    text: &'a [u8],
    digits: Cow<'a, [u8]>,
    /// Where the last part ended, and the digits up to there.
    at: usize,
    before: usize,
}

impl Parts<'_> {
    /// Appends a part, which lies behind those before, with its digits.
    ///
    /// # Errors
    /// If it lies elsewhere, or there are not enough digits.
    pub(super) fn put(&mut self, place: Range<usize>, out: &mut Vec<u8>) -> Result<(), Damage> {
        let skipped = self.text.get(self.at..place.start).ok_or(BAD_DIGITS)?;
        self.before += count(skipped);
        let start = out.len();
        out.extend_from_slice(self.text.get(place.clone()).ok_or(BAD_DIGITS)?);
        let digits = self.digits.get(self.before..).ok_or(BAD_DIGITS)?;
        self.before += join(&mut out[start..], digits)?;
        self.at = place.end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_comes_back_in_either_form(
            text in proptest::collection::vec(prop_oneof![any::<u8>(), b'0'..=b'9'], 0..300),
        ) {
            for form in [Form::Whole, Form::DigitsApart] {
                let mut out = Vec::new();
                put(&text, form, &mut out).expect("it is small");
                prop_assert_eq!(&*read(&out, form).expect("it is whole"), &text);
                for end in 0..out.len() {
                    let cut = read(&out[..end], form);
                    prop_assert!(cut.is_err() || form == Form::Whole);
                }
            }
        }

        #[test]
        fn no_bytes_make_it_fail(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = read(&bytes, Form::DigitsApart);
        }
    }

    #[test]
    fn digits_that_do_not_fit_are_damage() {
        let packed = |text: &[u8], digits: &[u8]| {
            let mut out = Vec::new();
            let mut first = Vec::new();
            put_packed(text, Zip::No, &mut first).expect("it is small");
            put_bytes(&mut out, &first);
            put_packed(digits, Zip::No, &mut out).expect("it is small");
            out
        };
        let found = |text: &[u8], digits: &[u8]| {
            read(&packed(text, digits), Form::DigitsApart).map(Cow::into_owned)
        };
        assert_eq!(found(b"a0b0", b"17"), Ok(b"a1b7".to_vec()));
        for (text, digits) in [("a0b0", "1"), ("a0", "17"), ("a1", "1"), ("a0", "x")] {
            assert!(found(text.as_bytes(), digits.as_bytes()).is_err(), "{text} {digits}");
        }
    }

    #[test]
    fn random_numbers_are_put_apart_and_repeated_ones_are_not() {
        let mut random = crate::tests::random::Random::new(1);
        let line = |n: u64| format!("request {n} took {} ms\n", n % 1000);
        let numbers: String = (0..900).map(|_| line(random.below(1 << 40))).collect();
        assert_eq!(smaller_form(numbers.as_bytes()).expect("it is small"), Form::DigitsApart);
        let repeated = "id 7251 at 1812 of 36174 in 99172 and 1823 for ".repeat(300);
        assert_eq!(smaller_form(repeated.as_bytes()).expect("it is small"), Form::Whole);
        assert_eq!(smaller_form(b"no number in here").expect("it is small"), Form::Whole);
        assert_eq!(smaller_form(b"").expect("it is small"), Form::Whole);
    }
}
