//! How figures grow with the number of objects.

use super::{Figure, number};

/// What is compared: totals, by the figures that tell them.
const GROWING: [(&str, &str); 5] = [
    ("aws_calls", "growth_aws_calls"),
    ("api_writes", "growth_api_writes"),
    ("rss_steady_bytes", "growth_rss"),
    ("cpu_seconds_converging", "growth_cpu_converging"),
    ("cpu_seconds_per_sweep", "growth_cpu_per_sweep"),
];

/// For each figure that grows, by how much more than the number of objects from
/// `few` to `many` of a scenario: 1 is linear, less is better.
pub(crate) fn growth(figures: &[Figure], few: usize, many: usize) -> Vec<Figure> {
    let find = |name: &str, scenario: &str, n: usize| {
        let mut found = figures.iter().filter(|figure| figure.name == name && figure.n == n);
        found.find(|figure| figure.scenario == scenario).and_then(|figure| figure.value)
    };
    let larger = figures.iter().filter(|figure| figure.n == many);
    larger
        .filter_map(|figure| {
            let (_, name) = GROWING.iter().find(|(of, _)| *of == figure.name)?;
            let before = find(figure.name, &figure.scenario, few)?;
            let after = figure.value?;
            let factor = number(many) / number(few);
            (before > 0.0).then(|| Figure {
                name,
                value: Some(after / before / factor),
                unit: "of linear",
                floor: None,
                bound: Some(1.0),
                ..figure.clone()
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(name: &'static str, n: usize, value: f64) -> Figure {
        let scenario = "one-zone".to_owned();
        Figure { name, scenario, n, value: Some(value), unit: "", floor: None, bound: None }
    }

    #[test]
    fn ten_times_as_much_for_ten_times_as_many_is_linear() {
        let figures = [
            figure("aws_calls", 1_000, 50.0),
            figure("aws_calls", 10_000, 500.0),
            figure("api_writes", 1_000, 7.0),
            figure("api_writes", 10_000, 140.0),
            figure("rss_steady_bytes", 10_000, 1.0),
        ];
        let grown = growth(&figures, 1_000, 10_000);
        let values: Vec<_> = grown.iter().map(|one| (one.name, one.value, one.is_good())).collect();
        assert_eq!(
            values,
            [("growth_aws_calls", Some(1.0), true), ("growth_api_writes", Some(2.0), false)]
        );
    }
}
