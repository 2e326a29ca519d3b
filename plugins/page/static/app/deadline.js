// The card of a deadline: the due day, a small calendar of the days that count and those that do not, and why.
import { day, month, next, shown, written } from "./dates.js";
import { h } from "./dom.js";
import { F } from "./feature_strings.js";

const T = F.deadline;
const SHOWN_MONTHS = 3;
// Of a deadline as the tool counts them (730 business days), and of texts that are shown.
const MOST_DAYS = 1600;
const MOST_TEXTS = 200;
// Those that every answer has; more are about this deadline and stand open.
const USUAL_WARNINGS = 2;
const WEEKEND = new Set(["sábado", "domingo", "sábado e domingo"]);
let count = 0;

const texts = (value) => (Array.isArray(value) ? value.filter((one) => typeof one === "string").slice(0, MOST_TEXTS) : []);

// Null where there is no due day: then the answer's text says what is missing.
export function card(data) {
  const due = day(data?.deadline);
  const published = day(data?.published);
  if (!due || !published || due < published || (due - published) / 86_400_000 > MOST_DAYS) return null;
  const begins = day(data.begins) ?? published;
  const spans = skipped(data.skipped);
  const earliest = day(data.earliest_deadline);
  const id = `deadline-${(count += 1)}`;
  return h(
    "section",
    { class: "card deadline", "aria-labelledby": id },
    h("h3", { class: "card-title", id }, T.title),
    h(
      "div",
      { class: "deadline-facts" },
      h(
        "p",
        { class: "deadline-due" },
        h("span", { class: "deadline-label" }, T.due),
        h("strong", {}, shown(due)),
        h("span", {}, typeof data.weekday === "string" ? data.weekday : ""),
      ),
      h(
        "dl",
        { class: "deadline-dates" },
        fact(T.published, shown(published)),
        fact(T.begins, shown(begins)),
        Number.isInteger(data.days_counted) ? fact("Prazo", T.counted(data.days_counted)) : null,
      ),
    ),
    earliest && earliest < due ? h("p", { class: "deadline-earliest" }, T.earliest(shown(earliest))) : null,
    calendar({ due, published, begins, reasons: daily(spans) }, id),
    reasons(spans),
    folded(T.warnings, texts(data.warnings), (earliest && earliest < due) || texts(data.warnings).length > USUAL_WARNINGS),
    folded(T.law, texts(data.law), false),
  );
}

const fact = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));

function skipped(value) {
  const spans = Array.isArray(value) ? value.slice(0, MOST_TEXTS * 2) : [];
  return spans
    .map((one) => ({ from: day(one?.from), to: day(one?.to), reason: typeof one?.reason === "string" ? one.reason : "" }))
    .filter(({ from, to }) => from && to && from <= to && (to - from) / 86_400_000 <= MOST_DAYS);
}

// The reason of each day that does not count.
function daily(spans) {
  const found = new Map();
  for (const { from, to, reason } of spans) {
    for (let date = from; date <= to; date = next(date)) {
      const which = date.getUTCDay() === 6 ? "sábado" : "domingo";
      found.set(written(date), reason === "sábado e domingo" ? which : reason);
    }
  }
  return found;
}

function calendar(dates, id) {
  const { due, published } = dates;
  const counter = { counted: 0 };
  const months = [];
  for (
    let first = new Date(Date.UTC(published.getUTCFullYear(), published.getUTCMonth(), 1));
    first <= due;
    first = new Date(Date.UTC(first.getUTCFullYear(), first.getUTCMonth() + 1, 1))
  ) {
    months.push(table(first, dates, counter));
  }
  // The first months and the last one at once, those between them folded.
  const between = months.length > SHOWN_MONTHS ? months.splice(SHOWN_MONTHS - 1, months.length - SHOWN_MONTHS) : [];
  const last = between.length ? months.pop() : null;
  return h(
    "div",
    { class: "calendar", role: "group", "aria-label": T.calendar, "data-of": id },
    h("div", { class: "months" }, ...months, between.length ? null : last),
    between.length
      ? h("details", {}, h("summary", {}, T.months(between.length)), h("div", { class: "months" }, ...between))
      : null,
    last ? h("div", { class: "months" }, last) : null,
    h(
      "p",
      { class: "legend hint", "aria-hidden": "true" },
      ...Object.entries(T.legend).map(([mark, label]) => h("span", { "data-mark": mark }, label)),
    ),
  );
}

function table(first, dates, counter) {
  const rows = [h("tr", {})];
  for (let blank = 0; blank < first.getUTCDay(); blank += 1) rows[0].append(h("td", {}));
  for (let date = first; date.getUTCMonth() === first.getUTCMonth(); date = next(date)) {
    if (date.getUTCDay() === 0 && rows.at(-1).childElementCount) rows.push(h("tr", {}));
    rows.at(-1).append(cell(date, dates, counter));
  }
  while (rows.at(-1).childElementCount < 7) rows.at(-1).append(h("td", {}));
  return h(
    "table",
    { class: "month" },
    h("caption", {}, month(first)),
    h("thead", {}, h("tr", {}, ...T.weekdays.map(([short, long]) => h("th", { scope: "col", abbr: long }, short)))),
    h("tbody", {}, ...rows),
  );
}

function cell(date, { due, published, begins, reasons: why }, counter) {
  const reason = why.get(written(date));
  const told = [];
  let mark = "";
  if (reason !== undefined && date >= published && date <= due) {
    mark = "skipped";
    told.push(T.marks.skipped(reason));
  } else if (date >= begins && date <= due) {
    counter.counted += 1;
    mark = "counted";
    told.push(T.marks.counted(counter.counted));
  }
  if (+date === +published && mark !== "counted") {
    mark ||= "published";
    told.push(T.marks.published);
  }
  if (+date === +begins) told.push(T.marks.begins);
  if (+date === +due) {
    mark = "due";
    told.push(T.marks.due);
  }
  return h(
    "td",
    { "data-mark": mark || null, title: told.join(", ") || null },
    String(date.getUTCDate()),
    told.length ? h("span", { class: "sr-only" }, ` (${told.join(", ")})`) : null,
  );
}

// In words: each holiday by itself, all weekends as one line.
function reasons(spans) {
  const weekends = spans.filter(({ reason }) => WEEKEND.has(reason));
  const days = weekends.reduce((sum, { from, to }) => sum + (to - from) / 86_400_000 + 1, 0);
  const others = spans.filter(({ reason }) => !WEEKEND.has(reason));
  if (!spans.length) return null;
  const items = others.map(({ from, to, reason }) =>
    h("li", {}, h("strong", {}, +from === +to ? shown(from) : `${shown(from)} a ${shown(to)}`), " ", reason),
  );
  if (days) items.push(h("li", {}, h("strong", {}, "Fins de semana"), ` ${days === 1 ? "1 dia" : `${days} dias`}`));
  return h("div", { class: "deadline-skipped" }, h("h4", {}, T.skipped), h("ul", {}, ...items));
}

function folded(title, lines, open) {
  if (!lines.length) return null;
  return h("details", { open }, h("summary", {}, title), h("ul", {}, ...lines.map((text) => h("li", {}, text))));
}
