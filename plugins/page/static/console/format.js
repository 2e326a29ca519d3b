// Figures as people in Brazil read them; "–" for what is not known.

const NONE = "–";
const plain = (digits) => new Intl.NumberFormat("pt-BR", { maximumFractionDigits: digits });
const [whole, one, two, three] = [0, 1, 2, 3].map(plain);
const clock = new Intl.DateTimeFormat("pt-BR", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const minute = new Intl.DateTimeFormat("pt-BR", { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat("pt-BR", { day: "2-digit", month: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" });

const known = (value) => typeof value === "number" && Number.isFinite(value);

export const count = (value) => (known(value) ? whole.format(value) : NONE);

export const decimal = (value) => (known(value) ? (value < 10 ? one : whole).format(value) : NONE);

export function percent(share) {
  if (!known(share)) return NONE;
  const value = share * 100;
  return `${(value && value < 10 ? one : whole).format(value)} %`;
}

export function seconds(value) {
  if (!known(value)) return NONE;
  if (value && value < 0.01) return "< 0,01 s";
  return `${(value < 1 ? two : value < 100 ? one : whole).format(value)} s`;
}

export function dollars(value) {
  if (!known(value)) return NONE;
  return `US$ ${(value && value < 0.1 ? three : two).format(value)}`;
}

export function span(total) {
  if (!known(total)) return NONE;
  if (total < 90) return `${Math.round(total)} s`;
  if (total < 5400) return `${Math.round(total / 60)} min`;
  return total < 172_800 ? `${one.format(total / 3600)} h` : `${whole.format(total / 86_400)} dias`;
}

export const clockOf = (text) => (text ? clock.format(new Date(text)) : NONE);
export const dayOf = (text) => (text ? day.format(new Date(text)) : NONE);
export const minuteOf = (epochSeconds) => minute.format(new Date(epochSeconds * 1000));

// A value of a setting, as it is written: text as it is, everything else as JSON.
export function value(given) {
  if (given === undefined || given === null) return NONE;
  if (given === "") return "(vazio)";
  return typeof given === "string" ? given : JSON.stringify(given);
}

export function short(given, most = 120) {
  const text = value(given).replace(/\s+/g, " ");
  return text.length > most ? `${text.slice(0, most)}…` : text;
}
