"""Which examples of a property hypothesis draws, and how many.

By default they are the same each time, so that nothing but a change makes a test fail;
`pytest --hypothesis-profile=explore` draws new ones, and 30 times as many.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

USUAL = 100  # hypothesis's own number
MORE = 30  # times as many


def register_profiles() -> None:
    """Register the profiles `repeat` and `explore`, and load the first.

    Neither limits the time that an example takes: it depends on the machine and what else it does.
    """
    patient = settings(
        max_examples=USUAL,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        database=None,
        print_blob=True,
    )
    settings.register_profile("repeat", patient, derandomize=True)
    settings.register_profile("explore", patient, derandomize=False, max_examples=MORE * USUAL)
    settings.load_profile("repeat")


def examples(number: int = USUAL, *unchecked: HealthCheck) -> settings:
    """A decorator for tests that use `@given`, in place of hypothesis's `settings`.

    Args:
        number: how many examples are drawn by default.
        unchecked: health checks that the test fails, although it is sound.
    """
    profile = settings()  # the one that is loaded
    return settings(
        max_examples=number * profile.max_examples // USUAL,
        suppress_health_check=[*profile.suppress_health_check, *unchecked],
    )
