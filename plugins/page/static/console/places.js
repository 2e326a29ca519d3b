// Circuits and instances: what each is doing, and what can be done to it.
import { on } from "../app/bus.js";
import { $, h } from "../app/dom.js";
import { act } from "./act.js";
import { post } from "./api.js";
import { clockOf, count, dayOf, span } from "./format.js";
import { live } from "./live.js";
import { tableOf } from "./table.js";
import { S } from "./words.js";

export function start() {
  const circuits = tableOf($("#circuits"), S.tiles.circuits, [
    S.circuits.model, S.circuits.state, S.circuits.failures, S.circuits.probe, S.circuits.by, S.circuits.act,
  ]);
  const instances = tableOf($("#instances"), S.tiles.instances, [
    S.instances.id, S.instances.state, S.instances.release, S.instances.version, S.instances.since, S.instances.seen,
    S.instances.act,
  ]);
  on("live:figures", (figures) => {
    circuits.show(figures.circuits.map(circuitRow), S.circuits.off);
    instances.show(instanceRows(figures.instances));
  });
}

function circuitRow(circuit) {
  const states = S.circuits.states[circuit.state] ?? circuit.state;
  const forced = circuit.forced ? ` (${S.circuits.forced})` : "";
  const who = circuit.forced ? `${circuit.by || "–"}, ${clockOf(circuit.at)}${circuit.why ? `: ${circuit.why}` : ""}` : "–";
  const offered = circuit.forced ? ["open", "closed", "auto"] : ["open", "closed"];
  return {
    key: circuit.model,
    level: circuit.state === "closed" ? "normal" : "alert",
    cells: [circuit.model, `${S.circuits.marks[circuit.state] ?? ""} ${states}${forced}`, count(circuit.recent_failures), probe(circuit), who],
    actions: offered.map((state) => ({
      label: S.circuits[state],
      name: S.circuits.titles[state](circuit.model),
      run: () => force(circuit, state),
    })),
  };
}

function probe({ state, forced, seconds_to_probe: left }) {
  if (state === "closed" || forced || left === null) return "–";
  return left === 0 ? S.circuits.probeNow : S.circuits.probeIn(span(Math.round(left)));
}

function force(circuit, state) {
  const now = S.circuits.states[circuit.state] ?? circuit.state;
  act({
    title: S.circuits.titles[state](circuit.model),
    button: S.circuits[state],
    what: S.circuits.what[state],
    undo: S.circuits.undo[state],
    changes: [{ name: circuit.model, from: circuit.forced ? `${now} (${S.circuits.forced})` : now, to: S.circuits[state] }],
    danger: state === "open",
    run: ({ reason }) => post("/admin/breaker", { model: circuit.model, state }, { reason }),
    done: (answer) => ({ text: S.circuits.done(answer.model, S.circuits.states[answer.state] ?? answer.state) }),
  });
}

function instanceRows(instances) {
  const newest = Math.max(...instances.map((each) => each.version));
  return instances.map((each) => {
    const who = each.drain ? ` ${S.instances.by(each.drain.by, each.drain.why)}` : "";
    const drained = each.draining || Boolean(each.drain);
    return {
      key: each.id,
      level: drained || each.version < newest ? "alert" : "normal",
      cells: [
        each.self ? `${each.id} (${S.instances.self})` : each.id,
        drained ? `▲ ${S.instances.draining}${who}` : `✓ ${S.instances.taking}`,
        each.release,
        each.version < newest ? `▲ ${each.version} (${S.instances.behind})` : String(each.version),
        dayOf(each.since),
        clockOf(each.seen),
      ],
      actions: [
        {
          label: drained ? S.instances.back : S.instances.drain,
          name: drained ? S.instances.backTitle(each.id) : S.instances.drainTitle(each.id),
          run: () => drain(each, !drained),
        },
      ],
    };
  });
}

function drain(instance, draining) {
  const others = live.figures.instances.filter((each) => each.id !== instance.id && !each.draining);
  const what = draining ? [S.instances.drainWhat, ...(others.length ? [] : [S.instances.drainLast])] : S.instances.backWhat;
  act({
    title: draining ? S.instances.drainTitle(instance.id) : S.instances.backTitle(instance.id),
    button: draining ? S.instances.drain : S.instances.back,
    what,
    undo: draining ? S.instances.drainUndo : S.instances.backUndo,
    changes: [
      {
        name: instance.id,
        from: draining ? S.instances.taking : S.instances.draining,
        to: draining ? S.instances.draining : S.instances.taking,
      },
    ],
    danger: draining,
    run: ({ reason }) => post("/admin/drain", { instance: instance.id, draining }, { reason }),
    done: (answer) => {
      const running = typeof answer.active_turns === "number" ? S.instances.active(answer.active_turns) : S.instances.later;
      return {
        text: `${S.instances.done(answer)}${answer.draining || !answer.self ? running : ""}.`,
        lines: answer.shared === false && live.figures.instances.length > 1 ? [S.instances.unshared] : [],
      };
    },
  });
}
