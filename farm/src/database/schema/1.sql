-- SPDX-License-Identifier: Apache-2.0
-- Times are milliseconds since 1970, UTC. Ids are texts as the API gives them. Digests are BLAKE3 and SHA-256, in hexadecimal digits.

-- What was asked for: one row for each time that it was.
CREATE TABLE build (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    -- The digest of the request, and how often the same had been asked for and finished before.
    key TEXT NOT NULL,
    generation INTEGER NOT NULL,
    -- The request, as canonical JSON.
    request BLOB NOT NULL,
    subject TEXT NOT NULL,
    ecosystem TEXT NOT NULL,
    package TEXT NOT NULL,
    version TEXT,
    priority INTEGER NOT NULL,
    submitted INTEGER NOT NULL,
    submitter TEXT NOT NULL,
    -- 'waiting', 'decided', 'failed' or 'cancelled'; only the first ever becomes another.
    state TEXT NOT NULL DEFAULT 'waiting',
    -- What all its rebuilders together came to: the word of all their proofs, 'repacked' where that is 'bit-identical' and at least
    -- one says it of contents that were taken from what was published, or 'disputed'.
    verdict TEXT,
    finished INTEGER,
    UNIQUE (key, generation)
) STRICT;
CREATE INDEX build_of_package ON build (ecosystem, package, number);
CREATE INDEX build_by_state ON build (state);
CREATE INDEX build_by_word ON build (coalesce(verdict, state), number);
CREATE INDEX build_of_ecosystem ON build (ecosystem, number);
CREATE INDEX build_by_package ON build (package, number);
CREATE INDEX build_of_ecosystem_by_word ON build (ecosystem, coalesce(verdict, state), number);
CREATE INDEX build_finished ON build (finished) WHERE finished IS NOT NULL;

-- Sources of projects: the digest of the tree, and of the archive that it came in, which the store has.
CREATE TABLE source (
    tree TEXT PRIMARY KEY,
    archive TEXT NOT NULL,
    size INTEGER NOT NULL,
    added INTEGER NOT NULL,
    submitter TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One rebuilder's part of a build.
CREATE TABLE job (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    build INTEGER NOT NULL REFERENCES build (number),
    slot INTEGER NOT NULL,
    lane TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting',
    -- The highest epoch under which it was ever handed out.
    epoch INTEGER NOT NULL DEFAULT 0,
    -- How often it ended without a verdict since it was submitted.
    failures INTEGER NOT NULL DEFAULT 0,
    worker TEXT,
    -- What the worker was when it got the job.
    operator TEXT,
    platform TEXT,
    isolation TEXT,
    verdict TEXT,
    finished INTEGER,
    UNIQUE (build, slot)
) STRICT;
CREATE INDEX job_open ON job (number) WHERE state = 'waiting';

-- Each time that a job was handed out.
CREATE TABLE attempt (
    job INTEGER NOT NULL REFERENCES job (number),
    epoch INTEGER NOT NULL,
    worker TEXT NOT NULL,
    leased INTEGER NOT NULL,
    ended INTEGER,
    -- 'decided', 'failed', 'lost', 'given-back' or 'refused'.
    outcome TEXT,
    class TEXT,
    detail TEXT,
    PRIMARY KEY (job, epoch)
) STRICT, WITHOUT ROWID;
CREATE INDEX attempt_by_class ON attempt (ended, class) WHERE class IS NOT NULL;
CREATE INDEX attempt_of_worker ON attempt (worker, leased);
CREATE INDEX attempt_open ON attempt (worker) WHERE ended IS NULL;

-- What was decided: written once, and never changed.
CREATE TABLE report (
    job INTEGER PRIMARY KEY REFERENCES job (number),
    epoch INTEGER NOT NULL,
    -- The envelope, as its worker signed it, and its digest.
    envelope BLOB NOT NULL,
    digest TEXT NOT NULL,
    -- Of what was published, as the worker got it, or of what a project was built to; of the proof; and of what the builds printed.
    published TEXT NOT NULL,
    -- Whether what was published came out of nothing but itself.
    own_contents INTEGER NOT NULL DEFAULT 0,
    proof TEXT NOT NULL,
    log TEXT,
    received INTEGER NOT NULL
) STRICT;
CREATE TRIGGER report_is_not_changed BEFORE UPDATE ON report BEGIN
    SELECT RAISE(ABORT, 'a report is not changed');
END;
CREATE TRIGGER report_is_not_removed BEFORE DELETE ON report BEGIN
    SELECT RAISE(ABORT, 'a report is not removed');
END;

-- What of that is in the log, and where.
CREATE TABLE logged (
    job INTEGER PRIMARY KEY REFERENCES report (job),
    place INTEGER NOT NULL UNIQUE
) STRICT;

CREATE TRIGGER logged_is_not_changed BEFORE UPDATE ON logged BEGIN
    SELECT RAISE(ABORT, 'what is logged is not changed');
END;

-- What has to go into the log, in this order.
CREATE TABLE unlogged (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    job INTEGER NOT NULL UNIQUE REFERENCES report (job)
) STRICT;
CREATE TRIGGER report_is_to_be_logged AFTER INSERT ON report BEGIN
    INSERT INTO unlogged (job) VALUES (NEW.job);
END;
CREATE TRIGGER report_is_logged AFTER INSERT ON logged BEGIN
    DELETE FROM unlogged WHERE job = NEW.job;
END;

-- Why verdicts are what they are: one row for each cause that a build's findings name.
CREATE TABLE cause (
    build INTEGER NOT NULL REFERENCES build (number),
    cause TEXT NOT NULL,
    PRIMARY KEY (build, cause)
) STRICT, WITHOUT ROWID;
CREATE INDEX cause_by_name ON cause (cause, build);

-- How many builds came to what, by day (since 1970, UTC), so that nobody has to count them.
CREATE TABLE tally (
    day INTEGER NOT NULL,
    ecosystem TEXT NOT NULL,
    word TEXT NOT NULL,
    builds INTEGER NOT NULL,
    PRIMARY KEY (day, ecosystem, word)
) STRICT, WITHOUT ROWID;
CREATE TABLE cause_tally (
    cause TEXT PRIMARY KEY,
    builds INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER build_is_counted AFTER UPDATE OF state ON build WHEN OLD.state = 'waiting' AND NEW.state <> 'waiting' BEGIN
    INSERT INTO tally VALUES (NEW.finished / 86400000, NEW.ecosystem, coalesce(NEW.verdict, NEW.state), 1)
        ON CONFLICT DO UPDATE SET builds = builds + 1;
END;
CREATE TRIGGER cause_is_counted AFTER INSERT ON cause BEGIN
    INSERT INTO cause_tally VALUES (NEW.cause, 1) ON CONFLICT DO UPDATE SET builds = builds + 1;
END;

-- Who works here.
CREATE TABLE worker (
    name TEXT PRIMARY KEY,
    key TEXT NOT NULL,
    public_key TEXT NOT NULL,
    operator TEXT NOT NULL,
    platform TEXT NOT NULL,
    isolation TEXT NOT NULL,
    architecture TEXT NOT NULL,
    domain TEXT NOT NULL,
    token TEXT NOT NULL,
    -- How many of its reports were refused since it was last admitted.
    refused INTEGER NOT NULL DEFAULT 0,
    seen INTEGER NOT NULL,
    -- Why it gets no jobs any more, where that is so.
    banned TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX worker_by_key ON worker (key);

-- Who may do what: whoever shows a token, of which there is a digest here, or a certificate with a SPIFFE id.
CREATE TABLE token (
    name TEXT PRIMARY KEY,
    digest TEXT UNIQUE,
    spiffe TEXT UNIQUE,
    roles TEXT NOT NULL,
    domain TEXT NOT NULL,
    operator TEXT NOT NULL,
    key TEXT,
    made INTEGER NOT NULL,
    expires INTEGER,
    revoked INTEGER,
    CHECK ((digest IS NULL) <> (spiffe IS NULL))
) STRICT, WITHOUT ROWID;

-- Who is told when something comes to an end.
CREATE TABLE hook (
    name TEXT PRIMARY KEY,
    url TEXT NOT NULL,
    -- 32 bytes, with which what is sent is signed.
    secret BLOB NOT NULL,
    made INTEGER NOT NULL,
    -- How many events were given up, and why the last was not taken.
    given_up INTEGER NOT NULL DEFAULT 0,
    trouble TEXT
) STRICT, WITHOUT ROWID;

-- What they have not been told yet.
CREATE TABLE delivery (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    hook TEXT NOT NULL REFERENCES hook (name) ON DELETE CASCADE,
    build INTEGER NOT NULL REFERENCES build (number),
    kind TEXT NOT NULL,
    happened INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    next INTEGER NOT NULL
) STRICT;
CREATE INDEX delivery_due ON delivery (next);
CREATE INDEX delivery_of_hook ON delivery (hook);
CREATE TRIGGER build_is_told_of AFTER INSERT ON build BEGIN
    INSERT INTO delivery (hook, build, kind, happened, next) SELECT name, NEW.number, 'queued', NEW.submitted, 0 FROM hook;
END;
CREATE TRIGGER build_s_end_is_told AFTER UPDATE OF state ON build WHEN OLD.state = 'waiting' AND NEW.state <> 'waiting' BEGIN
    INSERT INTO delivery (hook, build, kind, happened, next) SELECT name, NEW.number, 'finished', NEW.finished, 0 FROM hook;
END;

-- The queue, where it is this database.
CREATE TABLE queue (
    job TEXT PRIMARY KEY,
    lane TEXT NOT NULL,
    priority INTEGER NOT NULL,
    place INTEGER NOT NULL,
    -- 'ready', 'later', 'leased' or 'settled'.
    state TEXT NOT NULL,
    -- When a job of 'later' is ready, and one of 'leased' is lost.
    at INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    holder TEXT,
    result TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX queue_ready ON queue (lane, priority, place) WHERE state = 'ready';
CREATE INDEX queue_later ON queue (at) WHERE state = 'later';
CREATE INDEX queue_leased ON queue (at) WHERE state = 'leased';
CREATE INDEX queue_settled ON queue (job) WHERE state = 'settled';
