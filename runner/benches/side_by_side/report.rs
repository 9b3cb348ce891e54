// SPDX-License-Identifier: Apache-2.0
//! What came out, as a table and as JSON.

use std::fmt;
use std::io;
use std::time::Duration;

use serde_json::json;

use crate::machine::Machine;

/// Everything that one run of the benchmark says.
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) tables: Vec<Table>,
    pub(crate) memory: Option<MemoryTable>,
}

/// One race.
pub(crate) struct Table {
    pub(crate) title: String,
    /// The row that the others' ratios are to.
    pub(crate) reference: String,
    pub(crate) rows: Vec<Row>,
    /// Who could not take part, and why.
    pub(crate) left_out: Vec<(String, String)>,
    /// How many each time is of, where it is of more than one.
    pub(crate) each: Option<usize>,
}

/// What sandboxes' own processes hold.
pub(crate) struct MemoryTable {
    pub(crate) rows: Vec<MemoryRow>,
    /// Who could not take part, and why.
    pub(crate) left_out: Vec<(String, String)>,
}

/// One sandbox's.
pub(crate) struct MemoryRow {
    name: String,
    processes: usize,
    /// The most resident memory of each process, added up, in KiB.
    peak: u64,
    /// The proportional share of what is resident, added up, in KiB.
    share: u64,
}

impl MemoryRow {
    /// Of processes with these peaks and shares, in KiB.
    pub(crate) fn of(name: &str, processes: Vec<(u64, u64)>) -> io::Result<Self> {
        if processes.is_empty() {
            return Err(io::Error::other(format!("{name}: it has no process of its own")));
        }
        let (peaks, shares): (Vec<u64>, Vec<u64>) = processes.into_iter().unzip();
        let processes = peaks.len();
        Ok(Self { name: name.to_owned(), processes, peak: peaks.iter().sum(), share: shares.iter().sum() })
    }
}

/// One contestant's times.
pub(crate) struct Row {
    name: String,
    rounds: usize,
    p10: Duration,
    median: Duration,
    p90: Duration,
}

impl Row {
    pub(crate) fn of(name: &str, mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |percent: usize| {
            let last = times.len().saturating_sub(1);
            times.get((last * percent + 50) / 100).copied().unwrap_or_default()
        };
        Self { name: name.to_owned(), rounds: times.len(), p10: at(10), median: at(50), p90: at(90) }
    }
}

impl Table {
    fn ratio(&self, row: &Row) -> Option<f64> {
        let reference = self.rows.iter().find(|row| row.name == self.reference)?;
        Some(row.median.as_secs_f64() / reference.median.as_secs_f64())
    }
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

impl Report {
    pub(crate) fn to_json(&self) -> io::Result<String> {
        let row = |table: &Table, row: &Row| {
            json!({
                "name": row.name,
                "rounds": row.rounds,
                "median_ms": milliseconds(row.median),
                "p10_ms": milliseconds(row.p10),
                "p90_ms": milliseconds(row.p90),
                "ratio": table.ratio(row).map(|ratio| (ratio * 1e3).round() / 1e3),
            })
        };
        let table = |table: &Table| {
            let rows: Vec<_> = table.rows.iter().map(|r| row(table, r)).collect();
            let mut object = json!({ "title": table.title, "reference": table.reference, "contestants": rows,
                "left_out": left_out_json(&table.left_out) });
            if let (Some(each), Some(object)) = (table.each, object.as_object_mut()) {
                object.insert("at_once".to_owned(), json!(each));
            }
            object
        };
        let memory = self.memory.as_ref().map(|table| {
            let row = |row: &MemoryRow| {
                json!({ "name": row.name, "processes": row.processes, "peak_kib": row.peak, "share_kib": row.share })
            };
            let rows: Vec<_> = table.rows.iter().map(row).collect();
            json!({ "contestants": rows, "left_out": left_out_json(&table.left_out) })
        });
        let tables: Vec<_> = self.tables.iter().map(table).collect();
        let machine: serde_json::Map<_, _> =
            self.machine.facts.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        serde_json::to_string_pretty(&json!({ "machine": machine, "tables": tables, "memory": memory }))
            .map_err(io::Error::other)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.machine.facts {
            writeln!(f, "{name:<12} {value}")?;
        }
        for table in &self.tables {
            let width = table.rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
            let rounds = table.rows.iter().map(|row| row.rounds).min().unwrap_or(0);
            writeln!(f, "\n{} ({rounds} rounds; milliseconds)", table.title)?;
            writeln!(f, "  {:width$}  {:>9}  {:>9}  {:>9}  ratio to {}", "", "median", "p10", "p90", table.reference)?;
            for row in &table.rows {
                let [median, p10, p90] = [row.median, row.p10, row.p90].map(milliseconds);
                write!(f, "  {:width$}  {median:>9.2}  {p10:>9.2}  {p90:>9.2}", row.name)?;
                match table.ratio(row) {
                    Some(ratio) => writeln!(f, "  {ratio:.2}")?,
                    None => writeln!(f, "  -")?,
                }
            }
            if let Some(each) = table.each {
                let each = |row: &Row| format!("{} {:.2}", row.name, milliseconds(row.median) / count(each));
                writeln!(f, "  each: {}", table.rows.iter().map(each).collect::<Vec<_>>().join(", "))?;
            }
            write_left_out(f, &table.left_out)?;
        }
        self.memory.as_ref().map_or(Ok(()), |table| table.fmt(f))
    }
}

impl MemoryTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
        writeln!(f, "\nmemory of one sandbox's own processes (KiB, added up)")?;
        writeln!(f, "  {:width$}  {:>9}  {:>9}  {:>9}", "", "processes", "peak RSS", "PSS")?;
        for MemoryRow { name, processes, peak, share } in &self.rows {
            writeln!(f, "  {name:width$}  {processes:>9}  {peak:>9}  {share:>9}")?;
        }
        write_left_out(f, &self.left_out)
    }
}

fn count(each: usize) -> f64 {
    u32::try_from(each).map_or(f64::INFINITY, f64::from)
}

fn left_out_json(left_out: &[(String, String)]) -> serde_json::Value {
    left_out.iter().map(|(name, why)| json!({ "name": name, "why": why })).collect()
}

fn write_left_out(f: &mut fmt::Formatter<'_>, left_out: &[(String, String)]) -> fmt::Result {
    left_out.iter().try_for_each(|(name, why)| writeln!(f, "  {name} is left out: {why}"))
}
