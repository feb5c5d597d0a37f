"""The experiment binaries: flags -> frozen config -> library -> files in --out_dir."""
