"""The results as text, and for the documentation."""


def amount(value, unit):
    """A figure with three digits: "1.25 µs"."""
    names = [unit]
    if unit == "ns":
        names = ["ns", "µs", "ms"]
    while value >= 1000 and len(names) > 1:
        value /= 1000
        names.pop(0)
    digits = max(0, 2 - (value >= 10) - (value >= 100))
    return f"{value:.{digits}f} {names[0]}"


def head(machine):
    return (
        ", ".join(f"{name} {value}" for name, value in machine.items())
        + f"\n{'':31}{'ours':>9}{'x limit':>9}{'quartiles':>11}{'by name':>9}"
        + f"{'x peer':>8} best peer    at most"
    )


def is_met(row):
    """Whether a row has what it may have; None where nothing is laid down or measured."""
    middle = row["to_limit"]["prctl"] if row["of"] == "limit" else row["to_peer"]
    return None if row["at_most"] is None or middle is None else middle[1] <= row["at_most"]


def line(row):
    low, ratio, high = row["to_limit"]["prctl"]
    text = f"{row['what'][:30]:31}{amount(row['medians']['prctl'], row['unit']):>9}"
    text += f"{ratio:9.2f}{f'{low:.2f}-{high:.2f}':>11}"
    by_name = row["to_limit"].get("prctl.name")
    text += f"{by_name[1]:9.2f}" if by_name else " " * 9
    text += f"{row['to_peer'][1]:8.2f} {row['best_peer']:13}" if row["best_peer"] else " " * 22
    if row["at_most"] is not None:
        text += f"{row['at_most']:.2f}" + (" peer" if row["of"] == "peer" else "")
        text += "" if is_met(row) is not False else " !"
    return text.rstrip()
