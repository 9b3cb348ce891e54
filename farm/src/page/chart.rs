// SPDX-License-Identifier: Apache-2.0
//! Charts, drawn here as SVG. Each has a table behind it with the same numbers.

use maud::{Markup, html};

use super::words;
use crate::Millis;
use crate::views::Day;

/// What came of builds on each of the last thirty days, stacked. What is not finished is in none.
pub(super) fn days(all: &[Day], now: Millis) -> Markup {
    let today = now.0 / 86_400_000;
    let first = today - 29;
    let shown: Vec<&str> = words::ALL.iter().map(|said| said.word).filter(|word| *word != "waiting").collect();
    let count = |day: i64, word: &str| {
        all.iter().filter(|of| of.day == day && of.word == word).map(|of| of.builds).sum::<u64>()
    };
    let sum = |day: i64| all.iter().filter(|of| of.day == day).map(|of| of.builds).sum::<u64>();
    let most = (first..=today).map(sum).max().unwrap_or(0).max(1);
    // Of the height of 100 that there is, in hundredths.
    let scaled = |builds: u64| builds * 10_000 / most;
    let bars = (first..=today).flat_map(|day| {
        let mut below = 0;
        let bars: Vec<_> = shown
            .iter()
            .map(|word| {
                let height = scaled(count(day, word));
                below += height;
                (day - first, *word, below, height)
            })
            .collect();
        bars
    });
    let date = |day: i64| Millis(day * 86_400_000).timestamp().strftime("%Y-%m-%d").to_string();
    html! {
        figure {
            svg class="chart" viewBox="0 0 300 104" preserveAspectRatio="none" role="img" aria-label="Builds on each of the last thirty days; the table below has the numbers" {
                line x1="0" y1="101" x2="300" y2="101" {}
                @for (column, word, top, height) in bars {
                    @if height > 0 {
                        rect class=(word) x=(column * 10 + 1) width="8" y=(hundredths(10_000 - top)) height=(hundredths(height)) {}
                    }
                }
            }
            figcaption {
                "Builds finished on each day, up to " (most) ". "
                @for word in &shown { (words::badge(word)) " " }
            }
        }
        details {
            summary { "The same as a table" }
            div class="wide" tabindex="0" role="region" aria-label="Builds on each day" {
                table {
                    thead { tr { th scope="col" { "Day" } @for word in &shown { th scope="col" { (words::said(word).text) } } } }
                    tbody {
                        @for day in (first..=today).rev().filter(|day| sum(*day) > 0) {
                            tr { th scope="row" { (date(day)) } @for word in &shown { td { (count(day, word)) } } }
                        }
                    }
                }
            }
        }
    }
}

fn hundredths(number: u64) -> String {
    format!("{}.{:02}", number / 100, number % 100)
}

/// How much of something there is, as a bar beside its number.
pub(super) fn bar(part: u64, of: u64) -> Markup {
    let width = part.saturating_mul(100) / of.max(1);
    html! {
        svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" { rect width=(width) height="8" {} }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chart_has_what_the_table_has() {
        let now = Millis(1_800_000_000_000);
        let day = now.0 / 86_400_000;
        let of = |day, word: &str, builds| Day { day, word: word.to_owned(), builds };
        let chart = days(
            &[
                of(day, "bit-identical", 3),
                of(day, "different", 1),
                of(day - 29, "failed", 2),
                of(day - 30, "failed", 9),
            ],
            now,
        );
        let text = chart.into_string();
        assert!(text.contains("up to 4"), "{text}");
        assert_eq!(text.matches("<rect").count(), 3);
        assert!(
            text.contains("y=\"25.00\" height=\"75.00\"") && text.contains("y=\"0.00\" height=\"25.00\""),
            "{text}"
        );
        assert_eq!(text.matches("<th scope=\"row\">").count(), 2);
        // Where there is nothing, nothing is drawn, and nothing is divided by it.
        assert_eq!(days(&[], now).into_string().matches("<rect").count(), 0);
    }
}
