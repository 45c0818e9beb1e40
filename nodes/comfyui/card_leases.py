"""The leases of the card that Sonic uses in this ComfyUI, or of the machine's memory where it runs on the CPU."""

from ...sonic_guard.devices.budget import RESERVE
from ...sonic_guard.devices.memory_reader import MemoryReader
from ...sonic_guard.errors import LeaseError
from ...sonic_guard.farm.card_ledger import LiveMemory
from ...sonic_guard.farm.leases import CardLeases

_opened: list[CardLeases] = []


def card_leases(runs: int) -> CardLeases:
    """The leases, `runs` at a time; opened at the first call. Raises `LeaseError`."""
    if not _opened:
        live = LiveMemory(MemoryReader())
        _opened.append(CardLeases(live.ledger(), live.memory(RESERVE), runs))
    _opened[0].runs = runs
    return _opened[0]


def promised_bytes() -> int:
    """Bytes that runs of other processes have leased and not taken yet; 0 where leases are not used."""
    try:
        return _opened[0].promised_bytes() if _opened else 0
    except LeaseError:
        return 0
