//! Statistics over several measurements of the same value.

/// The median of all rounds, with minimum and maximum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The minimum.
    pub least: f64,
    /// The maximum.
    pub most: f64,
}

impl Spread {
    /// `None` without values.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.into_iter().collect();
        let least = values.iter().copied().reduce(f64::min)?;
        let most = values.iter().copied().reduce(f64::max)?;
        Some(Self {
            median: median(values)?,
            least,
            most,
        })
    }
}

/// The middle value, or the mean of the two middle values.
#[must_use]
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().checked_sub(1)? / 2, values.len() / 2);
    Some(f64::midpoint(values[low], values[high]))
}

/// Slope of a linear least-squares fit. `None` with fewer than two different x.
#[must_use]
pub fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let square: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let product: f64 = points
        .iter()
        .map(|point| (point.0 - x) * (point.1 - y))
        .sum();
    (square > 0.0).then(|| product / square)
}

/// The `e` of the best fit `y = c * x^e`: 0 is constant in x, 1 is proportional to it. Points
/// without a logarithm are omitted.
#[must_use]
pub fn exponent(points: &[(f64, f64)]) -> Option<f64> {
    let logarithms: Vec<_> = points
        .iter()
        .filter(|(x, y)| *x > 0.0 && *y > 0.0)
        .map(|(x, y)| (x.ln(), y.ln()))
        .collect();
    slope(&logarithms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_of_all_rounds() {
        let cases: [(&[f64], Option<f64>); 4] = [
            (&[], None),
            (&[3.0], Some(3.0)),
            (&[9.0, 1.0], Some(5.0)),
            (&[9.0, 1.0, 2.0], Some(2.0)),
        ];
        for (values, expected) in cases {
            assert_eq!(median(values.to_vec()), expected);
        }
        assert_eq!(
            Spread::of([9.0, 1.0, 2.0]),
            Some(Spread {
                median: 2.0,
                least: 1.0,
                most: 9.0
            })
        );
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn the_exponent_is_that_of_a_power() {
        let near = |found: Option<f64>, expected: f64| (found.unwrap() - expected).abs() < 1e-9;
        let power = |e: f64| [1.0, 10.0, 100.0, 1000.0].map(|x: f64| (x, 3.0 * x.powf(e)));
        for e in [0.0, 0.5, 1.0, 2.0] {
            assert!(
                near(exponent(&power(e)), e),
                "{e}: {:?}",
                exponent(&power(e))
            );
        }
        // Points without a logarithm do not count.
        assert!(near(exponent(&[(0.0, 7.0), (1.0, 2.0), (4.0, 8.0)]), 1.0));
        assert_eq!(exponent(&[(0.0, 7.0), (1.0, 2.0)]), None);
        assert!(near(slope(&[(0.0, 5.0), (1.0, 7.0), (2.0, 9.0)]), 2.0));
        assert_eq!(slope(&[]), None);
    }
}
