/**
 * A tiny Python package that builds itself without any download: a server that answers each line, and whose build waits
 * for ever where it is asked to.
 *
 * @module
 */
import { join } from "@std/path";

const backend = `
import os, time, zipfile

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    mark = os.environ.get("BUILD_MARK")
    if mark:
        with open(mark + ".draft", "w") as file:
            file.write(str(os.getpid()))
        os.rename(mark + ".draft", mark)
        time.sleep(600)
    name = "answerer-1.0-py3-none-any.whl"
    info = "answerer-1.0.dist-info/"
    files = {
        "answerer/__init__.py": open("server.py").read(),
        "answerer/late.py": "word = 'late'",
        info + "METADATA": "Metadata-Version: 2.1\\nName: answerer\\nVersion: 1.0\\n",
        info + "WHEEL": "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        info + "entry_points.txt": "[console_scripts]\\nanswerer = answerer:main\\n",
    }
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
        wheel.writestr(info + "RECORD", "".join(path + ",,\\n" for path in files) + info + "RECORD,,\\n")
    return name
`;

const server = `
import os, sys

def main():
    print(os.getpid(), flush=True)
    for line in sys.stdin:
        from answerer import late
        print(late.word, late.__file__, flush=True)
`;

const project = `
[project]
name = "answerer"
version = "1.0"
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
`;

/** Writes the package's source into a new folder in `root` and returns that. */
export async function writeUvPackage(root: string): Promise<string> {
  const folder = join(root, "answerer");
  await Deno.mkdir(folder);
  await Deno.writeTextFile(join(folder, "pyproject.toml"), project);
  await Deno.writeTextFile(join(folder, "backend.py"), backend);
  await Deno.writeTextFile(join(folder, "server.py"), server);
  return folder;
}
