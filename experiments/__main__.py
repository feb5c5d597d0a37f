"""The `facedirs` command: runs an experiment by name.

facedirs discover_ssi --images=DIR --out_dir=OUT
"""

import pathlib
import runpy
import sys

_NOT_COMMANDS = {
    *("__init__", "__main__", "grid_networks", "grid_scale", "grid_worker", "inputs"),
    *("labelled", "launch", "networks", "ratios", "run_flags", "speed"),
    *("talking", "torch_networks", "traversals"),
}


def main() -> int:
    """Runs the experiment that the first argument names; lists them without one."""
    files = pathlib.Path(__file__).parent.glob("*.py")
    commands = sorted({file.stem for file in files} - _NOT_COMMANDS)
    if len(sys.argv) > 1 and sys.argv[1] in commands:
        sys.argv[:2] = [f"facedirs {sys.argv[1]}"]
        name = sys.argv[0].removeprefix("facedirs ")
        # As __main__, so that --help is that experiment's and worker processes can
        # import it again.
        runpy.run_module(f"{__package__}.{name}", run_name="__main__", alter_sys=True)
        return 0
    asked_for_help = len(sys.argv) > 1 and sys.argv[1] in ("-h", "--help", "help")
    if len(sys.argv) > 1 and not asked_for_help:
        print(f"error: unknown experiment {sys.argv[1]!r}", file=sys.stderr)
    print("usage: facedirs EXPERIMENT --help\n\nexperiments:", *commands, sep="\n  ")
    return 0 if asked_for_help else 2


if __name__ == "__main__":
    sys.exit(main())
