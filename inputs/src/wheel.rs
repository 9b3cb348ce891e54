// SPDX-License-Identifier: Apache-2.0
//! What a published wheel says about how it was made. Nothing is extracted.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek, SeekFrom};

use jiff::civil;
use jiff::tz::TimeZone;
use thiserror::Error;
use zip::ZipArchive;
use zip::result::ZipError;

/// Why a wheel can't be read.
#[derive(Debug, Error)]
pub enum WheelError {
    /// It is no zip archive, or a damaged one.
    #[error("it is not a zip archive that can be read: {0}")]
    Zip(String),
    /// Reading failed.
    #[error("{0}")]
    Io(io::Error),
    /// Too many entries.
    #[error("it has {0} entries; at most {MAX_ENTRIES} are read")]
    TooMany(usize),
    /// A metadata file that is too long.
    #[error("{0} in it is longer than {MAX_METADATA} bytes")]
    TooLong(String),
    /// Not exactly one `*.dist-info/WHEEL`.
    #[error("it has {0} files *.dist-info/WHEEL at its top; a wheel has one")]
    NotOneWheelFile(usize),
}

/// The most entries of an archive that are read.
const MAX_ENTRIES: usize = 100_000;
/// The longest metadata file that is read, in bytes.
const MAX_METADATA: u64 = 64 << 10;
/// How much of an archive is read in all: its list of entries, and a metadata file.
const MAX_READ: u64 = 64 << 20;

/// The timestamp that most entries of a zip archive have, in seconds since 1970-01-01T00:00:00Z; of several, the latest.
///
/// The times of a zip archive have no time zone; they are taken as UTC, which is how tools that honour
/// `SOURCE_DATE_EPOCH` write them. `None` where no entry has a valid time (the format's begin in 1980).
///
/// # Errors
/// See [`WheelError`].
pub fn most_common_timestamp<R: Read + Seek>(wheel: &mut R) -> Result<Option<u64>, WheelError> {
    let mut counts = BTreeMap::<u64, usize>::new();
    let archive = open(wheel)?;
    for index in 0..archive.len() {
        if let Some(time) = archive.by_index_data(index)?.last_modified().and_then(seconds) {
            *counts.entry(time).or_default() += 1;
        }
    }
    Ok(counts.into_iter().max_by_key(|&(time, count)| (count, time)).map(|(time, _)| time))
}

/// What made a wheel, as the `Generator` line of its `WHEEL` file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Generator {
    /// Its name.
    pub(crate) name: String,
    /// Its version, where there is one that a version specifier can hold.
    pub(crate) version: Option<String>,
}

/// Reads the generator of a wheel; `None` where it names none.
pub(crate) fn generator<R: Read + Seek>(wheel: &mut R) -> Result<Option<Generator>, WheelError> {
    let mut archive = open(wheel)?;
    let mut found = Vec::new();
    for index in 0..archive.len() {
        let name = String::from_utf8_lossy(archive.by_index_data(index)?.name_raw()).into_owned();
        if !is_wheel_file(&name) {
            continue;
        }
        let mut text = Vec::new();
        archive.by_index(index)?.take(MAX_METADATA + 1).read_to_end(&mut text).map_err(ZipError::Io)?;
        if text.len() as u64 > MAX_METADATA {
            return Err(WheelError::TooLong(name));
        }
        found.push(text);
    }
    match found.as_slice() {
        [text] => Ok(parse_generator(&String::from_utf8_lossy(text))),
        other => Err(WheelError::NotOneWheelFile(other.len())),
    }
}

impl Generator {
    /// The distribution that has this generator in it, where that is known.
    pub(crate) fn distribution(&self) -> Option<&'static str> {
        DISTRIBUTIONS.iter().find(|(name, _)| *name == self.name).map(|&(_, distribution)| distribution)
    }
}

/// Which distribution has a generator of that name in it, at the version that it gives.
const DISTRIBUTIONS: [(&str, &str); 14] = [
    // `wheel` had setuptools' command for wheels until setuptools 70.1 took it over.
    ("bdist_wheel", "wheel"),
    ("flit", "flit_core"),
    ("flit_core", "flit_core"),
    ("hatchling", "hatchling"),
    ("maturin", "maturin"),
    ("meson", "meson-python"),
    ("pdm-backend", "pdm-backend"),
    ("pdm-pep517", "pdm-pep517"),
    ("poetry", "poetry"),
    ("poetry-core", "poetry-core"),
    ("scikit-build-core", "scikit-build-core"),
    ("setuptools", "setuptools"),
    ("uv", "uv_build"),
    ("whey", "whey"),
];

/// How a wheel was packed, as far as its entries say so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Form {
    /// What made it.
    pub(crate) generator: Option<Generator>,
    /// The time and the date of each entry, as zip has them (APPNOTE.TXT, 4.4.6), by its name.
    pub(crate) times: BTreeMap<String, [u16; 2]>,
    /// Those of the package's own files, by their names, in seconds since 1970-01-01T00:00:00Z, taken as UTC.
    pub(crate) moments: BTreeMap<String, u64>,
    /// How its build was set up.
    pub(crate) settings: Settings,
}

/// How a build was set up, as far as what came out of it shows that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// What the build wrote may be changed by its group: the umask was 002, not 022.
    pub(crate) is_of_group: bool,
    /// That may be done to most of what has the mode that it had in the source.
    pub(crate) has_source_of_group: bool,
    /// setuptools made it for Python 2 as well, which is not said in every such source.
    pub(crate) is_universal: bool,
}

impl Form {
    /// Reads the form of a wheel; of two entries of one name, the last counts.
    pub(crate) fn read<R: Read + Seek>(wheel: &mut R) -> Result<Self, WheelError> {
        let mut form = Self { generator: generator(wheel)?, ..Self::default() };
        let is_setuptools = form.is_setuptools();
        let archive = open(wheel)?;
        // Of the package's own files, and of those alone that have the source's mode: how many their group may change, of all.
        let (mut own, mut kept) = ((0_usize, 0_usize), (0_usize, 0_usize));
        for index in 0..archive.len() {
            let entry = archive.by_index_data(index)?;
            let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
            let is_writable = entry.unix_mode().is_some_and(|mode| mode & 0o020 != 0);
            let count = |(of_group, all): &mut (usize, usize)| {
                *of_group += usize::from(is_writable);
                *all += 1;
            };
            if is_wheel_file(&name) {
                form.settings.is_of_group = is_writable;
            } else if !name.contains(".dist-info/") {
                let moment = entry.last_modified().and_then(seconds);
                form.moments.extend(moment.map(|moment| (name.clone(), moment)));
                count(&mut own);
            }
            if is_setuptools && has_the_source_s_mode(&name) {
                count(&mut kept);
            }
            if let Some(time) = entry.last_modified() {
                form.times.insert(name, [time.timepart(), time.datepart()]);
            }
        }
        let (of_group, all) = if kept.1 > 0 { kept } else { own };
        form.settings.has_source_of_group = of_group > all - of_group;
        Ok(form)
    }

    /// Whether setuptools made it, by its own command for wheels or by that of `wheel`.
    pub(crate) fn is_setuptools(&self) -> bool {
        let distribution = self.generator.as_ref().and_then(Generator::distribution);
        distribution.is_some_and(|name| ["setuptools", "wheel"].contains(&name))
    }

    /// Whether its entries have more than one time: those that the files had, not one that was given to all.
    pub(crate) fn has_times(&self) -> bool {
        self.times.values().collect::<BTreeSet<_>>().len() > 1
    }
}

fn open<R: Read + Seek>(reader: &mut R) -> Result<ZipArchive<Metered<'_, R>>, WheelError> {
    let archive = ZipArchive::new(Metered { inner: reader, left: MAX_READ })?;
    if archive.len() > MAX_ENTRIES { Err(WheelError::TooMany(archive.len())) } else { Ok(archive) }
}

/// Reads at most so many bytes, so that an archive's own count of its entries can't decide how much memory they take.
struct Metered<'a, R> {
    inner: &'a mut R,
    left: u64,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(count as u64)
            .ok_or_else(|| io::Error::new(io::ErrorKind::FileTooLarge, "its list of entries is too long"))?;
        Ok(count)
    }
}

impl<R: Seek> Seek for Metered<'_, R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

impl From<ZipError> for WheelError {
    fn from(error: ZipError) -> Self {
        match error {
            // The system's own errors; others are what the archive's bytes made of reading it.
            ZipError::Io(error) if error.raw_os_error().is_some() => Self::Io(error),
            other => Self::Zip(other.to_string()),
        }
    }
}

fn seconds(time: zip::DateTime) -> Option<u64> {
    let field = |n: u8| i8::try_from(n).ok();
    let civil = civil::DateTime::new(
        i16::try_from(time.year()).ok()?,
        field(time.month())?,
        field(time.day())?,
        field(time.hour())?,
        field(time.minute())?,
        field(time.second())?,
        0,
    );
    let zoned = civil.ok()?.to_zoned(TimeZone::UTC).ok()?;
    u64::try_from(zoned.timestamp().as_second()).ok()
}

/// A wheel may have other packages' metadata deeper inside.
fn is_wheel_file(name: &str) -> bool {
    name.strip_suffix(".dist-info/WHEEL").is_some_and(|top| !top.contains('/'))
}

/// Whether setuptools copies a file with its mode: it does so with data and licences, but gives modules, and what it writes or
/// links, the mode that the umask says. Lists that are in a source archive already are not written again.
fn has_the_source_s_mode(name: &str) -> bool {
    match name.split_once(".dist-info/") {
        None => !name.ends_with(".py") && !name.ends_with(".so"),
        Some((_, rest)) => rest == "top_level.txt" || rest.starts_with("licenses/") || rest.starts_with("LICENSE"),
    }
}

/// Reads `NAME VERSION` or `NAME (VERSION)`.
fn parse_generator(text: &str) -> Option<Generator> {
    let line = text.lines().find_map(|line| line.strip_prefix("Generator:"))?.trim();
    let (name, version) = line.split_once(' ').unwrap_or((line, ""));
    let version = version.trim().trim_start_matches('(').trim_end_matches(')').trim();
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".!+_-".contains(c);
    let ok = version.starts_with(|c: char| c.is_ascii_digit()) && version.len() <= 64 && version.chars().all(allowed);
    Some(Generator { name: name.to_owned(), version: ok.then(|| version.to_owned()) })
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write as _};

    use zip::write::SimpleFileOptions;
    use zip::{DateTime, ZipWriter};

    use super::*;

    type Entry<'a> = (&'a str, &'a [u8], DateTime);

    fn archive(entries: &[Entry<'_>]) -> Cursor<Vec<u8>> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes, time) in entries {
            zip.start_file(*name, SimpleFileOptions::default().last_modified_time(*time)).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap()
    }

    fn day(day: u8) -> DateTime {
        DateTime::from_date_and_time(2024, 2, day, 12, 30, 58).unwrap()
    }

    /// 2024-02-29T12:30:58Z.
    const LEAP_DAY: u64 = 1_709_209_858;

    #[test]
    fn the_most_common_time_wins_and_of_several_the_latest() {
        let most = |entries: &[Entry<'_>]| most_common_timestamp(&mut archive(entries)).unwrap();
        assert_eq!(most(&[("a", b"", day(29)), ("b", b"", day(29)), ("c", b"", day(1))]), Some(LEAP_DAY));
        assert_eq!(most(&[("a", b"", day(29)), ("b", b"", day(28))]), Some(LEAP_DAY));
        assert_eq!(most(&[("a", b"", day(28)), ("b", b"", day(29)), ("c", b"", day(28))]), Some(LEAP_DAY - 86_400));
        assert_eq!(most(&[("a", b"", DateTime::default())]), Some(315_532_800));
        assert_eq!(most(&[]), None);
    }

    /// Month 0 and day 0, as some tools write for "no time".
    #[test]
    fn a_time_that_cannot_be_is_none() {
        let mut bytes = archive(&[("a", b"", day(1))]).into_inner();
        let central = bytes.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
        bytes[central + 12..central + 16].fill(0);
        assert_eq!(most_common_timestamp(&mut Cursor::new(bytes)).unwrap(), None);
    }

    #[test]
    fn what_is_no_wheel_is_refused() {
        assert!(matches!(most_common_timestamp(&mut Cursor::new(b"hello".to_vec())), Err(WheelError::Zip(_))));
        assert!(matches!(generator(&mut archive(&[])), Err(WheelError::NotOneWheelFile(0))));
        let two = [("a-1.dist-info/WHEEL", b"".as_slice(), day(1)), ("b-1.dist-info/WHEEL", b"", day(1))];
        assert!(matches!(generator(&mut archive(&two)), Err(WheelError::NotOneWheelFile(2))));
    }

    #[test]
    fn the_bounds_hold_on_both_sides() {
        let wheel = |n: u64| {
            let text = b"x".repeat(usize::try_from(n).unwrap());
            generator(&mut archive(&[("a-1.dist-info/WHEEL", &text, day(1))]))
        };
        assert!(wheel(MAX_METADATA).is_ok());
        assert!(matches!(wheel(MAX_METADATA + 1), Err(WheelError::TooLong(_))));
        let entries = |n: usize| {
            let names: Vec<String> = (0..n).map(|i| i.to_string()).collect();
            let entries: Vec<Entry<'_>> = names.iter().map(|name| (name.as_str(), b"".as_slice(), day(1))).collect();
            most_common_timestamp(&mut archive(&entries))
        };
        assert!(entries(MAX_ENTRIES).is_ok());
        assert!(matches!(entries(MAX_ENTRIES + 1), Err(WheelError::TooMany(_))));
    }

    #[test]
    fn an_archive_is_read_to_a_bound() {
        let read = |bytes: u64| {
            let mut inner = io::repeat(0).take(bytes);
            io::copy(&mut Metered { inner: &mut inner, left: MAX_READ }, &mut io::sink())
        };
        assert_eq!(read(MAX_READ).unwrap(), MAX_READ);
        assert_eq!(read(MAX_READ + 1).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        // The names are in the list of entries too.
        let named = |count: usize| {
            let names: Vec<String> = (0..count).map(|i| format!("{i:060000}")).collect();
            let entries: Vec<Entry<'_>> = names.iter().map(|name| (name.as_str(), b"".as_slice(), day(1))).collect();
            most_common_timestamp(&mut archive(&entries))
        };
        assert!(named(1000).is_ok());
        let error = named(1200).unwrap_err();
        assert!(matches!(&error, WheelError::Zip(why) if why.contains("list of entries is too long")), "{error}");
    }

    #[test]
    fn a_form_has_the_times_and_the_umask_of_what_the_build_wrote() {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, mode, time) in [("a.py", 0o644, day(1)), ("a-1.dist-info/WHEEL", 0o664, day(29))] {
            let options = SimpleFileOptions::default().last_modified_time(time).unix_permissions(mode);
            zip.start_file(name, options).unwrap();
        }
        let form = Form::read(&mut zip.finish().unwrap()).unwrap();
        let settings = Settings { is_of_group: true, ..Settings::default() };
        assert!(form.has_times() && form.settings == settings && form.generator.is_none());
        let time = |n: u8| [day(n).timepart(), day(n).datepart()];
        assert_eq!(form.moments, [("a.py".into(), LEAP_DAY - 28 * 86_400)].into());
        assert_eq!(form.times, [("a-1.dist-info/WHEEL".into(), time(29)), ("a.py".into(), time(1))].into());
        let one = Form::read(&mut archive(&[("a-1.dist-info/WHEEL", b"", day(1)), ("a.py", b"", day(1))])).unwrap();
        assert!(!one.has_times() && one.settings == Settings::default());
    }

    #[test]
    fn setuptools_gives_modules_the_umask_s_mode_and_copies_that_of_data() {
        let settings = |generator: &str, entries: &[(&str, u32)]| {
            let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
            let with = |mode| SimpleFileOptions::default().unix_permissions(mode);
            zip.start_file("a-1.dist-info/WHEEL", with(0o664)).unwrap();
            zip.write_all(format!("Generator: {generator}\n").as_bytes()).unwrap();
            for (name, mode) in entries {
                zip.start_file(*name, with(*mode)).unwrap();
            }
            Form::read(&mut zip.finish().unwrap()).unwrap().settings
        };
        let modules = [("a/b.py", 0o664), ("a/c.py", 0o664), ("a-1.dist-info/METADATA", 0o664)];
        let of_group = Settings { is_of_group: true, has_source_of_group: true, is_universal: false };
        let not_the_source = Settings { has_source_of_group: false, ..of_group };
        for generator in ["setuptools (82.0.0)", "bdist_wheel (0.38.4)"] {
            // Where nothing else shows it, the modules have to.
            assert_eq!(settings(generator, &modules), of_group);
            for kept in
                ["a/py.typed", "a-1.dist-info/top_level.txt", "a-1.dist-info/licenses/LICENSE", "a-1.dist-info/LICENSE"]
            {
                assert_eq!(settings(generator, &[&modules[..], &[(kept, 0o644)]].concat()), not_the_source, "{kept}");
                assert_eq!(settings(generator, &[&modules[..], &[(kept, 0o664)]].concat()), of_group, "{kept}");
            }
        }
        let linked = [&modules[..], &[("a/c.so", 0o664), ("a/py.typed", 0o644)]].concat();
        assert_eq!(settings("setuptools (82.0.0)", &linked), not_the_source);
        // Others copy all.
        assert_eq!(settings("hatchling 1.27.0", &[&modules[..], &[("a/py.typed", 0o644)]].concat()), of_group);
    }

    #[test]
    fn the_generator_is_the_wheels_own() {
        let wheel = archive(&[
            ("pkg/_vendor/other-1.dist-info/WHEEL", b"Generator: flit 3.12.0\n", day(1)),
            ("pkg-1.dist-info/WHEEL", b"Wheel-Version: 1.0\r\nGenerator: setuptools (84.0.0)\r\n", day(1)),
        ]);
        let found = generator(&mut { wheel }).unwrap().unwrap();
        assert_eq!((found.name.as_str(), found.version.as_deref()), ("setuptools", Some("84.0.0")));
        assert_eq!(found.distribution(), Some("setuptools"));
    }

    #[test]
    fn generators_are_read_as_they_are_written() {
        for (line, distribution, version) in [
            ("flit 4.1.0", Some("flit_core"), Some("4.1.0")),
            ("bdist_wheel (0.38.4)", Some("wheel"), Some("0.38.4")),
            ("poetry-core 2.1.3", Some("poetry-core"), Some("2.1.3")),
            ("uv 0.8.0", Some("uv_build"), Some("0.8.0")),
            ("meson", Some("meson-python"), None),
            ("my own thing 1", None, None),
            ("flit 1; python_version", Some("flit_core"), None),
            ("flit -rfile", Some("flit_core"), None),
        ] {
            let found = parse_generator(&format!("Generator: {line}")).unwrap();
            assert_eq!((found.distribution(), found.version.as_deref()), (distribution, version), "{line}");
        }
        assert_eq!(parse_generator("Wheel-Version: 1.0\n"), None);
        let long = |n: usize| parse_generator(&format!("Generator: flit {}", "1".repeat(n))).unwrap().version;
        assert!(long(64).is_some() && long(65).is_none());
    }
}
