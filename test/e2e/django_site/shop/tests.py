from decimal import Decimal

from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.db import IntegrityError, connection, models, transaction
from django.test import TestCase, TransactionTestCase
from django.utils import timezone

from .models import Line, Order, Product


def fill(products: int = 20) -> User:
    user = User.objects.create_user("ann", password="x")
    Product.objects.bulk_create(Product(name=f"p{n}", price=Decimal(n) / 2, facts={"n": n}) for n in range(products))
    order = Order.objects.create(buyer=user)
    Line.objects.bulk_create(Line(order=order, product=product, count=1 + product.facts["n"] % 3)
                             for product in Product.objects.all())
    return user


class Queries(TestCase):
    def setUp(self):
        self.user = fill()

    def test_joins_and_aggregates(self):
        total = Line.objects.aggregate(total=models.Sum(models.F("count") * models.F("product__price")))["total"]
        expected = sum((1 + n % 3) * Decimal(n) / 2 for n in range(20))
        self.assertEqual(total, expected)
        self.assertEqual(Product.objects.filter(facts__n__gte=15).count(), 5)
        self.assertEqual(Order.objects.prefetch_related("products").get().products.count(), 20)

    def test_constraint_inside_atomic_block(self):
        with self.assertRaises(IntegrityError), transaction.atomic():
            Product.objects.create(name="p1", price=1)
        self.assertEqual(Product.objects.count(), 20)

    def test_iterator(self):
        self.assertEqual([p.name for p in Product.objects.order_by("id").iterator(chunk_size=3)],
                         [f"p{n}" for n in range(20)])

    def test_time_zone_is_what_the_application_set(self):
        with connection.cursor() as cursor:
            cursor.execute("SHOW TimeZone")
            self.assertEqual(cursor.fetchone()[0], "UTC")
        self.assertLess(abs((timezone.now() - Product.objects.first().created).total_seconds()), 60)

    def test_sessions_and_login(self):
        session = SessionStore()
        session["cart"] = [1, 2]
        session.save()
        self.assertEqual(SessionStore(session.session_key)["cart"], [1, 2])
        self.assertTrue(self.client.login(username="ann", password="x"))


class Transactions(TransactionTestCase):
    def test_select_for_update_and_rollback(self):
        fill(3)
        with transaction.atomic():
            product = Product.objects.select_for_update().get(name="p1")
            product.price = 99
            product.save()
        with self.assertRaises(ZeroDivisionError), transaction.atomic():
            Product.objects.all().update(price=0)
            raise ZeroDivisionError
        self.assertEqual(Product.objects.get(name="p1").price, 99)

    def test_savepoints(self):
        with transaction.atomic():
            Product.objects.create(name="kept", price=1)
            point = transaction.savepoint()
            Product.objects.create(name="dropped", price=1)
            transaction.savepoint_rollback(point)
        self.assertEqual([p.name for p in Product.objects.all()], ["kept"])
