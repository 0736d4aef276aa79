"""Who is held back for whom."""

from apiserver.fairness.company import PACE, PACE_ALONE, PACE_BESIDE_FEW, Company, thread_seconds


class Clients:
    """A company, a clock, and a thread that is busy or not."""

    def __init__(self, *, busy: bool = True) -> None:
        self.now = 100.0
        self.company = Company(lambda: self.now if busy else 0.0)

    def ask(self, client: str, number: int = 1) -> None:
        """So many requests come and begin."""
        for _ in range(number):
            self.company.asks(client, self.now)
            self.company.begins(client)

    def after(self, seconds: float, turns: int = 1) -> None:
        """Time goes by in so many turns of the loop."""
        for _ in range(turns):
            self.now += seconds / turns
            self.company.look(self.now)


def test_a_client_that_is_alone_is_not_held_back() -> None:
    clients = Clients()
    clients.ask("a", 50)
    assert clients.company.pace == PACE_ALONE
    assert clients.company.may_begin("a")


def test_of_two_who_ask_for_much_none_is_held_back() -> None:
    clients = Clients()
    clients.ask("a", 10)
    clients.ask("b", 10)
    clients.ask("a")
    clients.after(0.03)  # at first b had asked but once
    assert clients.company.pace == PACE
    assert clients.company.may_begin("a") and clients.company.may_begin("b")


def test_who_asks_for_much_is_held_back_while_others_ask_now_and_then() -> None:
    clients = Clients()
    clients.ask("much", 10)
    clients.ask("few")
    clients.ask("much")
    assert clients.company.pace == PACE_BESIDE_FEW
    assert not clients.company.may_begin("much")
    assert clients.company.may_begin("another")
    clients.after(0.01)
    assert not clients.company.may_begin("much")
    clients.after(0.02)
    assert (clients.company.pace, clients.company.may_begin("much")) == (PACE, True)
    clients.after(1.0)
    assert clients.company.pace == PACE_ALONE


def test_what_has_ended_counts_no_more() -> None:
    clients = Clients()
    clients.ask("much", 2)
    clients.ask("few")
    clients.company.ends("much")
    assert not clients.company.may_begin("much")
    clients.company.ends("much")
    assert clients.company.may_begin("much")
    clients.company.ends("few")
    clients.company.ends("few")  # of nobody: counts nothing
    assert clients.company.may_begin("few")


def test_who_asked_for_much_a_second_ago_may_have_become_one_who_asks_now_and_then() -> None:
    clients = Clients()
    clients.ask("a", 10)
    clients.ask("b", 10)
    for client in ("a", "b"):
        for _ in range(11):
            clients.company.ends(client)
    clients.after(0.5)
    clients.ask("b")
    clients.after(0.6)
    clients.ask("a")
    assert clients.company.pace == PACE_BESIDE_FEW


def _share_after(clients: Clients, seconds: float) -> int:
    """How many requests of one who asks for much are begun beside one who asks now and then, after a while."""
    company = clients.company
    clients.ask("few")
    for _ in range(round(seconds / 0.01)):
        company.asks("much", clients.now)
        company.asks("few", clients.now)
        clients.after(0.01)
    begun = 0
    while company.may_begin("much") and begun < 100:
        company.begins("much")
        begun += 1
    return begun


def test_the_share_stays_small_while_the_thread_is_busy() -> None:
    assert _share_after(Clients(), 1.0) == 1


def test_the_share_grows_while_the_thread_waits() -> None:
    assert _share_after(Clients(busy=False), 1.0) > 10


def test_a_threads_seconds_grow_with_its_work() -> None:
    before = thread_seconds()
    sum(range(2_000_000))
    assert thread_seconds() > before
