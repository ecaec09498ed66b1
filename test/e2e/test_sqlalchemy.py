"""SQLAlchemy's ORM on psycopg and asyncpg, with a pool of its own on top of ours."""

from __future__ import annotations

import asyncio
import ssl
import threading
import uuid

import pytest
from sqlalchemy import ForeignKey, String, create_engine, func, select, text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload

from pooler import Endpoint


def make_models(suffix: str):
    class Root(DeclarativeBase):
        pass

    class Author(Root):
        __tablename__ = f"author_{suffix}"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str] = mapped_column(String(50), unique=True)
        books: Mapped[list["Book"]] = relationship(back_populates="author", cascade="all, delete-orphan")

    class Book(Root):
        __tablename__ = f"book_{suffix}"
        id: Mapped[int] = mapped_column(primary_key=True)
        title: Mapped[str]
        author_id: Mapped[int] = mapped_column(ForeignKey(f"author_{suffix}.id"))
        author: Mapped[Author] = relationship(back_populates="books")

    return Root, Author, Book


def url(at: Endpoint, driver: str) -> URL:
    query = {"sslmode": at.sslmode, "sslrootcert": at.ca} if at.tls and driver == "psycopg" else {}
    return URL.create(f"postgresql+{driver}", at.user, at.password, at.tls_host, at.port, at.dbname, query=query)


def test_orm_on_psycopg(endpoint: Endpoint):
    Root, Author, Book = make_models(uuid.uuid4().hex[:8])
    engine = create_engine(url(endpoint, "psycopg"), pool_size=5, pool_pre_ping=True)
    Root.metadata.create_all(engine)
    try:
        with Session(engine) as session:
            session.add_all(Author(name=f"author {a}", books=[Book(title=f"book {a}.{b}") for b in range(5)])
                            for a in range(40))
            session.commit()
        with Session(engine) as session:
            authors = session.scalars(select(Author).options(selectinload(Author.books)).order_by(Author.id)).all()
            assert [len(author.books) for author in authors] == [5] * 40
            with pytest.raises(Exception, match="duplicate key"):
                with session.begin_nested():
                    session.add(Author(name="author 1"))
                    session.flush()
            session.delete(authors[0])
            session.commit()
            assert session.scalar(select(func.count()).select_from(Book)) == 39 * 5
        with engine.connect().execution_options(stream_results=True) as connection:
            assert len(connection.execute(select(Book.title)).all()) == 195
    finally:
        Root.metadata.drop_all(engine)
        engine.dispose()


def test_threads_share_an_engine(endpoint: Endpoint):
    engine = create_engine(url(endpoint, "psycopg"), pool_size=4, max_overflow=4)
    wrong: list[object] = []

    def work(number: int) -> None:
        try:
            for turn in range(20):
                with engine.begin() as connection:
                    got = connection.execute(text("SELECT :mark"), {"mark": f"{number}.{turn}"}).scalar()
                    if got != f"{number}.{turn}":
                        wrong.append(got)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    engine.dispose()
    assert not wrong, wrong[:3]


def test_reflection(endpoint: Endpoint):
    from sqlalchemy import inspect
    Root, Author, Book = make_models(uuid.uuid4().hex[:8])
    engine = create_engine(url(endpoint, "psycopg"))
    Root.metadata.create_all(engine)
    inspector = inspect(engine)
    assert inspector.get_foreign_keys(Book.__tablename__)[0]["referred_table"] == Author.__tablename__
    assert inspector.get_pk_constraint(Author.__tablename__)["constrained_columns"] == ["id"]
    Root.metadata.drop_all(engine)
    engine.dispose()


def test_orm_on_asyncpg(endpoint: Endpoint):
    Root, Author, Book = make_models(uuid.uuid4().hex[:8])

    async def work() -> None:
        more = {"ssl": ssl.create_default_context(cafile=endpoint.ca)} if endpoint.tls else {"ssl": False}
        engine = create_async_engine(url(endpoint, "asyncpg"), pool_size=5, connect_args=more)
        async with engine.begin() as connection:
            await connection.run_sync(Root.metadata.create_all)
        maker = async_sessionmaker(engine)

        async def add(number: int) -> None:
            async with maker() as session:
                session.add(Author(name=f"a{number}", books=[Book(title="t")]))
                await session.commit()

        await asyncio.gather(*[add(number) for number in range(20)])
        async with maker() as session:
            assert await session.scalar(select(func.count()).select_from(Book)) == 20
        async with engine.begin() as connection:
            await connection.run_sync(Root.metadata.drop_all)
        await engine.dispose()

    asyncio.run(work())
