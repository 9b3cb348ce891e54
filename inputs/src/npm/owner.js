// SPDX-License-Identifier: Apache-2.0
'use strict';
const fs = require('fs');
const own = stats => { if (stats) { stats.uid = USER; stats.gid = GROUP; } return stats; };
for (const name of ['stat', 'lstat', 'fstat']) {
  const later = fs[name], now = fs[name + 'Sync'];
  fs[name] = function (...given) {
    const done = given.pop();
    return later.call(fs, ...given, (error, stats) => done(error, own(stats)));
  };
  fs[name + 'Sync'] = (...given) => own(now.apply(fs, given));
}
