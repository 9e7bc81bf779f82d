//! Dropping a plan: chains such as `a + b + c + …` are taken apart link by link, since dropping them
//! as a whole would recurse as often as they have links.

use std::mem::replace;

use super::{Join, Scalar, ScalarPair, Set, Vector, WithScalar};

/// Takes out the left side of a link, if that is a link itself.
fn take_left(vector: &mut Vector) -> Option<Vector> {
    let left = match vector {
        Vector::Join(join) => &mut join.lhs,
        Vector::Set(set) => &mut set.lhs,
        Vector::WithScalar(node) => &mut node.vector,
        _ => return None,
    };
    take_link(left)
}

fn take_link(vector: &mut Vector) -> Option<Vector> {
    matches!(vector, Vector::Join(_) | Vector::Set(_) | Vector::WithScalar(_))
        .then(|| replace(vector, Vector::FromScalar(Box::new(Scalar::Time))))
}

fn drop_links(left: &mut Vector) {
    let mut at = take_link(left);
    while let Some(link) = &mut at {
        at = take_left(link);
    }
}

impl Drop for Join {
    fn drop(&mut self) {
        drop_links(&mut self.lhs);
    }
}

impl Drop for Set {
    fn drop(&mut self) {
        drop_links(&mut self.lhs);
    }
}

impl Drop for WithScalar {
    fn drop(&mut self) {
        drop_links(&mut self.vector);
    }
}

impl Drop for ScalarPair {
    fn drop(&mut self) {
        let mut lhs = replace(&mut self.lhs, Scalar::Time);
        while let Scalar::Binary(pair) = &mut lhs {
            lhs = replace(&mut pair.lhs, Scalar::Time);
        }
    }
}
