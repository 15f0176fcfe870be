/** The page of `foster ui` in a real browser. */
import { assert, assertEquals, assertMatch, assertNotEquals, assertStringIncludes } from "@std/assert";
import { type Browser, chromium, type Locator, type Page } from "playwright-core";
import { missing, unless } from "../skip.ts";
import { Foster, until } from "./harness.ts";
import { fromFileUrl } from "@std/path";
import { tiny } from "./tiny.ts";

const STDIO = fromFileUrl(new URL("../fixtures/stdio_server.ts", import.meta.url));
const HOSTILE = `<img src=x onerror="document.title='taken'"><b>bold</b>`;
const WAIT_MS = 20_000;

/** The first browser that runs here. */
async function findBrowser(): Promise<{ path: string; reason: null } | { path: null; reason: string }> {
  const names = [Deno.env.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"];
  for (const name of names) {
    if (!name || await missing(name) !== null) continue;
    const { stdout } = await new Deno.Command("sh", { args: ["-c", 'command -v "$1"', "sh", name] }).output();
    return { path: new TextDecoder().decode(stdout).trim(), reason: null };
  }
  return { path: null, reason: "there is no Chromium: apt-get install chromium, or its path in CHROMIUM" };
}

const found = Deno.build.os === "windows"
  ? { path: null, reason: "it looks for Chromium with sh" }
  : await findBrowser();

/** One page of one browser; whatever goes wrong in it fails the test. */
class Opened implements AsyncDisposable {
  readonly problems: string[] = [];
  readonly requests: string[] = [];

  private constructor(readonly browser: Browser, readonly page: Page) {
    page.on("console", (message) => {
      if (message.type() === "error") this.problems.push(message.text());
    });
    page.on("pageerror", (error) => this.problems.push(String(error)));
    page.on("dialog", (dialog) => this.problems.push(`a dialog: ${dialog.message()}`));
    page.on("request", (request) => this.requests.push(request.url()));
  }

  static async open(
    url: string,
    options: { width?: number; colorScheme?: "dark" | "light" } = {},
  ): Promise<Opened> {
    const browser = await chromium.launch({ executablePath: found.path ?? "", args: ["--no-sandbox"] });
    const { width = 1200, colorScheme = "dark" } = options;
    const page = await browser.newPage({ viewport: { width, height: 800 }, colorScheme });
    page.setDefaultTimeout(WAIT_MS);
    const opened = new Opened(browser, page);
    await page.goto(url);
    return opened;
  }

  /** The entry of a server in the list. */
  entry(name: string): Locator {
    return this.page.getByRole("navigation", { name: "Servers" }).getByRole("button", { name });
  }

  button(name: string): Locator {
    return this.page.getByRole("button", { name, exact: true });
  }

  async says(text: string | RegExp): Promise<void> {
    await this.page.locator(".outcome", { hasText: text }).waitFor();
  }

  async isState(word: string): Promise<void> {
    await this.page.locator(".pill", { hasText: word }).waitFor();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.browser.close();
  }
}

async function addressOf(foster: Foster): Promise<string> {
  return (await foster.expect(0, ["ui", "--json"])).json<{ url: string }>().url;
}

Deno.test(
  unless(found.reason, "a browser shows a crash and the restart after it, new log lines, and no token"),
  async () => {
    await using foster = await Foster.create();
    await foster.define({ docs: tiny("auto", { options: ["--tick=200"] }) });
    const up = (await foster.expect(0, ["up", "docs", "--supervise", "--json"])).row();
    const url = await addressOf(foster);
    await using opened = await Opened.open(url);
    const { page } = opened;
    await opened.entry("docs").click();
    await opened.isState("ready");
    assertEquals(new URL(page.url()).hash, `#server=${up.key}`);
    await page.locator(".facts-list").getByText(`pid ${up.pid}`).waitFor();
    // Lines that come while it is open.
    const log = page.getByRole("log");
    await log.getByText(/^tick \d+ of/).first().waitFor();
    const before = await log.locator(".line").count();
    await until("more lines", async () => await log.locator(".line").count() > before + 2);
    Deno.kill(up.pid, "SIGKILL");
    await page.locator('.timeline [data-event="crashed"]').waitFor({ state: "attached" });
    await until("it runs again", async () => (await foster.record(up.key))?.state === "ready");
    const again = (await foster.record(up.key))?.pid;
    assertNotEquals(again, up.pid);
    await page.locator(".facts-list").getByText(`pid ${again}`).waitFor();
    await log.getByText(new RegExp(`of ${again}$`)).first().waitFor();
    assertMatch(
      await page.getByRole("img", { name: /1 failure/ }).getAttribute("aria-label") ?? "",
      /Last 10 min/,
    );
    await page.getByRole("tab", { name: "Events" }).click();
    await page.getByRole("tabpanel").getByText("crashed").waitFor();
    const own = new URL(url).origin;
    assertEquals(
      opened.requests.filter((each) => !each.startsWith(`${own}/`) && !each.startsWith("data:")),
      [],
    );
    const token = url.split("token=")[1] ?? "";
    assertEquals(opened.requests.slice(1).filter((each) => each.includes(token)), []);
    assertEquals(opened.problems, []);
    // The tab has the token still; another one does not.
    await page.reload();
    await opened.isState("ready");
  },
);

Deno.test(
  unless(found.reason, "a server is started, stopped and restarted by click and by keys"),
  async () => {
    await using foster = await Foster.create();
    await foster.define({ docs: tiny("auto"), notes: tiny("auto", { options: ["--exit=3"] }) });
    await foster.expect(0, ["serve", "--detach"]);
    await using opened = await Opened.open(await addressOf(foster));
    const { page } = opened;
    const pid = async () =>
      Number(
        (await foster.expect(0, ["ps", "--json"])).json().servers.find(({ name }) => name === "docs")?.pid,
      );
    await opened.entry("docs").click();
    await opened.isState("asleep");
    await opened.button("Start docs").click();
    await opened.says(/docs: ready/);
    const first = await pid();
    await opened.button("Restart docs").click();
    await opened.says(new RegExp(`ready · pid (?!${first}\\b)`));
    const second = await pid();
    await opened.button("Stop docs").click();
    await opened.says("docs: stopped");
    await opened.isState("asleep");
    // The same without a mouse: the way to the button, then the page's own keys.
    await page.keyboard.press("Escape");
    await page.keyboard.press("/");
    await page.keyboard.type("doc");
    await page.keyboard.press("Enter");
    await opened.isState("asleep");
    await opened.button("Start docs").focus();
    await page.keyboard.press("Enter");
    await opened.says(/docs: ready/);
    const third = await pid();
    assert(![first, second].includes(third));
    await page.keyboard.press("r");
    await opened.says(new RegExp(`ready · pid (?!${third}\\b)`));
    await page.keyboard.press("d");
    await opened.says("docs: stopped");
    await page.keyboard.press("u");
    await opened.says(/docs: ready/);
    // What fails says why, as the verb does.
    await opened.page.keyboard.press("Escape");
    await opened.entry("notes").focus();
    await page.keyboard.press("Enter");
    await page.keyboard.press("u");
    await opened.says(/exit code 3/);
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keys" }).waitFor();
    assertEquals(opened.problems, []);
  },
);

Deno.test(unless(found.reason, "the tools of a server are listed, also of one that sleeps"), async () => {
  await using foster = await Foster.create();
  await foster.define({
    docs: tiny("auto"),
    files: { command: "deno", args: ["run", "-q", "--no-lock", "-A", STDIO, "both"] },
  });
  await foster.expect(0, ["up", "docs", "--supervise"]);
  await foster.expect(0, ["serve", "--detach"]);
  await using opened = await Opened.open(await addressOf(foster), { width: 390, colorScheme: "light" });
  const { page } = opened;
  await opened.entry("docs").click();
  await page.getByRole("tab", { name: "Tools" }).click();
  await page.locator(".tool-name", { hasText: "echo" }).waitFor();
  await page.getByRole("button", { name: "Back to all servers" }).click();
  await opened.entry("files").click();
  await page.getByText(/has not said yet/).waitFor();
  assertEquals(
    (await foster.expect(0, ["ps", "--json"])).json().servers.find(({ name }) => name === "files")?.state,
    "stopped",
  );
  await page.getByRole("button", { name: "Ask the server" }).click();
  await page.getByText("9 tools").waitFor();
  // Nothing is wider than a small screen.
  assertEquals(await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), true);
  assertEquals(opened.problems, []);
});

Deno.test(unless(found.reason, "what a server says stays text, whatever it is"), async () => {
  await using foster = await Foster.create();
  const options = [
    `--name=${HOSTILE}`,
    `--say=${HOSTILE}|\u001b[31mred\u001b[0m \u202eturned|</script><script>alert(1)</script>`,
  ];
  await foster.define({ docs: tiny("auto", { options }) });
  await foster.expect(0, ["up", "docs", "--supervise"]);
  await using opened = await Opened.open(await addressOf(foster));
  const { page } = opened;
  await opened.entry("docs").click();
  const log = page.getByRole("log");
  await log.getByText("alert(1)").waitFor();
  assertEquals((await log.locator(".line").allTextContents()).slice(0, 3), [
    HOSTILE,
    "red turned",
    "</script><script>alert(1)</script>",
  ]);
  assertStringIncludes(await page.locator(".facts-list").innerText(), HOSTILE);
  assertEquals(await page.locator("b, main img, .log *:not(.line)").count(), 0);
  assertEquals(await page.title(), "docs · foster");
  assertEquals(opened.problems, []);
});

Deno.test(
  unless(
    found.reason,
    "a wrong token is refused, and the address that foster ui prints is taken in its place",
  ),
  async () => {
    await using foster = await Foster.create();
    await foster.define({ docs: tiny("auto") });
    await foster.expect(0, ["up", "docs", "--supervise"]);
    const url = await addressOf(foster);
    await using opened = await Opened.open(url.replace(/token=.*/, `token=${"0".repeat(64)}`));
    const { page } = opened;
    await page.getByRole("alert").getByText(/missing or wrong: foster ui/).waitFor();
    assertEquals(new URL(page.url()).hash, "");
    assertEquals(await page.evaluate("sessionStorage.length"), 0);
    await page.getByLabel("Address or token").fill(url);
    await page.getByRole("button", { name: "Open" }).click();
    await opened.entry("docs").waitFor();
  },
);

Deno.test(unless(found.reason, "an open page goes on with the next supervisor"), async () => {
  await using foster = await Foster.create();
  await foster.define({ docs: tiny("auto") });
  await foster.expect(0, ["up", "docs", "--supervise"]);
  await foster.expect(0, ["serve", "--detach"]);
  const opening = (await foster.expect(0, ["ui", "--json"])).json<
    { url: string; supervisor: { pid: number } }
  >();
  await using opened = await Opened.open(opening.url);
  await opened.entry("docs").click();
  await opened.isState("ready");
  Deno.kill(opening.supervisor.pid, "SIGKILL");
  await opened.page.getByText("reconnecting").waitFor();
  await foster.expect(0, ["up", "docs"]);
  await opened.page.getByText("live", { exact: true }).waitFor();
  await opened.button("Restart docs").click();
  await opened.says(/docs: ready/);
});
