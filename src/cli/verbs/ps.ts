import { listServers, withReasons } from "../../lifecycle/observe/list.ts";
import { rowDocument } from "../../lifecycle/row.ts";
import { EXIT } from "../exit_codes.ts";
import { toneOf } from "../rows.ts";
import type { Verb } from "../verb.ts";

export const ps: Verb = {
  name: "ps",
  summary: "all servers that foster knows of, without any network",
  usage: "",
  options: [],
  examples: [
    ["ps", "a table of every server with a record"],
    ["ps --json", "the same for programs"],
  ],
  async run({ host, state, output }) {
    const listed = await listServers(host, await state.records());
    const rows = await withReasons(host, { state, rows: listed });
    if (output.json) {
      output.document({ servers: rows.map(rowDocument) });
      return EXIT.done;
    }
    if (rows.length === 0) {
      output.talk("No servers. foster up NAME starts one; foster presets lists what is built in.");
      return EXIT.done;
    }
    const table = rows.map((row) => [
      row.name,
      row.state,
      row.endpoint ?? "-",
      row.pid === null ? "-" : String(row.pid),
      row.server.version ?? "-",
      row.process,
      row.key,
    ]);
    output.table(
      [["NAME", "STATE", "ENDPOINT", "PID", "VERSION", "PROCESS", "KEY"], ...table],
      (row, column) => {
        const shown = rows[row - 1];
        return column === 1 && shown !== undefined ? toneOf(shown.state) : "plain";
      },
    );
    for (const row of rows) if (row.message !== "") output.problem(`${row.name}: ${row.message}`);
    return EXIT.done;
  },
};
