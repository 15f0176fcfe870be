import { listAll, withReasons } from "../../lifecycle/observe/list.ts";
import { observeSupervisor } from "../../lifecycle/observe/supervisor.ts";
import { rowDocument } from "../../lifecycle/row.ts";
import { readEnrolments } from "../enrolments.ts";
import { EXIT } from "../exit_codes.ts";
import { stateText, supervisorLine, toneOf } from "../rows.ts";
import { hasLabel, LABEL_OPTION, labelsByKey } from "../targets.ts";
import type { Verb } from "../verb.ts";

const HEAD = ["NAME", "STATE", "ENDPOINT", "PID", "VERSION", "PROCESS", "KEY"];

export const ps: Verb = {
  name: "ps",
  summary: "all servers that foster knows of, without any network",
  usage: "[--label L]",
  operands: "none",
  options: [LABEL_OPTION],
  examples: [
    ["ps", "a table of every server with a record"],
    ["ps --json", "the same for programs"],
  ],
  async run(context, args) {
    const { host, state, output } = context;
    const wanted = args.texts("label");
    // Records hold no labels: definition files are read only where somebody asks for one.
    const labels = wanted.length === 0 ? null : await labelsByKey(context);
    const enrolments = await readEnrolments(context);
    const listed = (await listAll(host, { state, enrolments })).map(({ row }) => row);
    const labelled = labels === null
      ? listed
      : listed.filter(({ key }) => hasLabel(labels.get(key) ?? [], wanted));
    const rows = await withReasons(host, { state, rows: labelled });
    const supervisor = await observeSupervisor(host, state);
    if (output.json) {
      output.document({
        servers: rows.map((row) => ({
          ...rowDocument(row),
          ...(labels === null ? {} : { labels: labels.get(row.key) ?? [] }),
        })),
        supervisor,
      });
      return EXIT.done;
    }
    if (rows.length === 0 && labels !== null) {
      output.talk(`No server has the label ${wanted.join(" or ")}.`);
      return EXIT.done;
    }
    if (rows.length === 0) {
      if (supervisor !== null) output.talk(supervisorLine(supervisor));
      output.talk("No servers. foster up NAME starts one; foster presets lists what is built in.");
      return EXIT.done;
    }
    const table = rows.map((row) => [
      row.name,
      stateText(row, enrolments),
      row.endpoint ?? "-",
      row.pid === null ? "-" : String(row.pid),
      row.server.version ?? "-",
      row.process,
      row.key,
      ...(labels === null ? [] : [(labels.get(row.key) ?? []).join(", ")]),
    ]);
    output.table(
      [[...HEAD, ...(labels === null ? [] : ["LABELS"])], ...table],
      (row, column) => {
        const shown = rows[row - 1];
        return column === 1 && shown !== undefined ? toneOf(shown.state) : "plain";
      },
    );
    if (supervisor !== null) output.talk(supervisorLine(supervisor));
    if (!enrolments.isServed && rows.some((row) => row.on_demand === true && row.state === "stopped")) {
      output.talk("No supervisor runs: no request starts a server until foster up, serve or connect does.");
    }
    for (const row of rows) if (row.message !== "") output.problem(`${row.name}: ${row.message}`);
    return EXIT.done;
  },
};
