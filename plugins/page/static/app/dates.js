// Days and times as people in Brazil write them.

const TIME = { hour: "2-digit", minute: "2-digit" };

export const moment = (date) => date.toLocaleString("pt-BR", { dateStyle: "short", timeStyle: "short" });

// "hoje, 14:30", "ontem, 09:05", "23/03/2026".
export function lately(text) {
  const date = new Date(text);
  const days = Math.round((midnight(new Date()) - midnight(date)) / 86_400_000);
  if (days === 0) return `hoje, ${date.toLocaleTimeString("pt-BR", TIME)}`;
  if (days === 1) return `ontem, ${date.toLocaleTimeString("pt-BR", TIME)}`;
  return date.toLocaleDateString("pt-BR");
}

function midnight(date) {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate());
}

// A day of a calendar as "2026-03-23"; in UTC, so that no clock changes move it. Null if it is none.
export function day(text) {
  if (typeof text !== "string" || !/^\d{4}-\d{2}-\d{2}$/.test(text)) return null;
  const date = new Date(`${text}T00:00:00Z`);
  return Number.isNaN(date.getTime()) || written(date) !== text ? null : date;
}

export const written = (date) => date.toISOString().slice(0, 10);

export const next = (date) => new Date(date.getTime() + 86_400_000);

export const shown = (date) => date.toLocaleDateString("pt-BR", { timeZone: "UTC" });

export const month = (date) => date.toLocaleDateString("pt-BR", { timeZone: "UTC", month: "long", year: "numeric" });
