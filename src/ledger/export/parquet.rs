//! Apache Parquet, for warehouses.

use std::io::{self, Write};
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::{Type, TypePtr};

use super::columns::{COLUMNS, Cell, Column, Kind};
use super::{ExportError, Row};

/// Most rows in a row group.
const ROWS: usize = 50_000;

/// Most bytes of text in a row group, but for its last row. Rows differ a thousandfold in size, so a
/// number of rows alone bounds no memory.
const BYTES: usize = 32 << 20;

/// Writes the columns of the CSV form, all of them optional: texts as STRING, counts as INT64 unsigned,
/// the time as TIMESTAMP in microseconds, UTC (Parquet format, LogicalTypes). Compressed with Zstandard.
///
/// It holds one row group, and of each group that was written what the footer says of it: some
/// kilobytes.
pub(super) struct RowGroups<W: Write> {
    /// The file is made in memory, a row group at a time, and moved on from there. So an error of the
    /// output stays what it is, and the output need not be `Send`.
    file: SerializedFileWriter<Vec<u8>>,
    out: W,
    chunks: Vec<Chunk>,
    rows: usize,
    bytes: usize,
}

/// A column of the row group to be. A level says whether its row has a value: Parquet, "Nulls".
struct Chunk {
    levels: Vec<i16>,
    values: Values,
}

enum Values {
    Text(Vec<ByteArray>),
    Whole(Vec<i64>),
}

impl<W: Write> RowGroups<W> {
    pub fn new(out: W) -> Result<Self, ExportError> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(ROWS))
            // An index of pages would be held for all groups until the footer is written.
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .build();
        let schema = schema().map_err(write_error)?;
        let file =
            SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).map_err(write_error)?;
        let chunks = COLUMNS.iter().map(|column| Chunk::new(column.kind())).collect();
        Ok(Self { file, out, chunks, rows: 0, bytes: 0 })
    }

    pub fn entry(&mut self, row: &Row) -> Result<(), ExportError> {
        for (column, chunk) in COLUMNS.iter().zip(&mut self.chunks) {
            self.bytes += chunk.push(column.cell(row));
        }
        self.rows += 1;
        if self.rows >= ROWS || self.bytes >= BYTES { self.write_group() } else { Ok(()) }
    }

    pub fn finish(mut self) -> Result<W, ExportError> {
        if self.rows > 0 {
            self.write_group()?;
        }
        let rest = self.file.into_inner().map_err(write_error)?;
        self.out.write_all(&rest)?;
        Ok(self.out)
    }

    fn write_group(&mut self) -> Result<(), ExportError> {
        encode(&mut self.file, &mut self.chunks).map_err(write_error)?;
        (self.rows, self.bytes) = (0, 0);
        // Positions in the file are counted apart from this buffer, which may thus be emptied.
        self.file.flush()?;
        self.out.write_all(self.file.inner())?;
        self.file.inner_mut().clear();
        Ok(())
    }
}

impl Chunk {
    fn new(kind: Kind) -> Self {
        let values = match kind {
            Kind::Text => Values::Text(Vec::new()),
            Kind::Count | Kind::Time => Values::Whole(Vec::new()),
        };
        Self { levels: Vec::new(), values }
    }

    /// The bytes of text in it.
    fn push(&mut self, cell: Cell) -> usize {
        let mut bytes = 0;
        let level = match (&mut self.values, cell) {
            (Values::Text(values), Cell::Text(text)) => {
                bytes = text.len();
                values.push(ByteArray::from(text.into_owned().into_bytes()));
                1
            }
            // Parquet keeps an unsigned number in the bits of a signed one.
            (Values::Whole(values), Cell::Count(count)) => {
                values.push(count.cast_signed());
                1
            }
            (Values::Whole(values), Cell::Time(time)) => {
                values.push(time.as_microsecond());
                1
            }
            // A cell is of its column's kind, so what is left is absent.
            _ => 0,
        };
        self.levels.push(level);
        bytes
    }

    fn write(&mut self, mut column: SerializedColumnWriter) -> Result<(), ParquetError> {
        match &mut self.values {
            Values::Text(values) => {
                column.typed::<ByteArrayType>().write_batch(values, Some(&self.levels), None)?;
                values.clear();
            }
            Values::Whole(values) => {
                column.typed::<Int64Type>().write_batch(values, Some(&self.levels), None)?;
                values.clear();
            }
        }
        self.levels.clear();
        column.close()
    }
}

fn encode(file: &mut SerializedFileWriter<Vec<u8>>, chunks: &mut [Chunk]) -> Result<(), ParquetError> {
    let mut group = file.next_row_group()?;
    for chunk in chunks {
        let column = group.next_column()?.ok_or(ParquetError::General("the schema ends early".into()))?;
        chunk.write(column)?;
    }
    group.close().map(drop)
}

fn schema() -> Result<TypePtr, ParquetError> {
    let fields = COLUMNS.iter().map(field).collect::<Result<_, _>>()?;
    Ok(Arc::new(Type::group_type_builder("entry").with_fields(fields).build()?))
}

fn field(column: &Column) -> Result<TypePtr, ParquetError> {
    let (physical, logical) = match column.kind() {
        Kind::Text => (Physical::BYTE_ARRAY, LogicalType::String),
        Kind::Count => (Physical::INT64, LogicalType::integer(64, false)),
        Kind::Time => (Physical::INT64, LogicalType::timestamp(true, TimeUnit::MICROS)),
    };
    let field = Type::primitive_type_builder(column.name, physical)
        .with_logical_type(Some(logical))
        .with_repetition(Repetition::OPTIONAL);
    Ok(Arc::new(field.build()?))
}

/// The output has no part in it: it is written to from memory.
fn write_error(error: ParquetError) -> ExportError {
    io::Error::other(error).into()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    use super::super::tests::{READ, REFUSED, STARTED, export};
    use super::super::{Exporter, Form};
    use super::*;

    fn reader(bytes: Vec<u8>) -> SerializedFileReader<Bytes> {
        SerializedFileReader::new(Bytes::from(bytes)).unwrap()
    }

    fn read_back(bytes: Vec<u8>) -> Vec<std::collections::HashMap<String, Field>> {
        let reader = reader(bytes);
        let rows = reader.get_row_iter(None).unwrap();
        rows.map(|row| row.unwrap().into_columns().into_iter().collect()).collect()
    }

    #[test]
    fn a_reader_gets_the_rows_back() {
        let entries = [(6, Some(READ)), (7, Some(REFUSED)), (0, Some(STARTED)), (5, None)];
        let rows = read_back(export(Form::Parquet, &entries));
        assert_eq!(rows.len(), 4);
        assert_eq!(rows[0].len(), COLUMNS.len());
        assert_eq!(rows[0]["number"], Field::ULong(6));
        assert_eq!(rows[0]["time"], Field::TimestampMicros(1_795_610_927_181_632));
        assert_eq!(rows[0]["records_withheld"], Field::ULong(2));
        // No spreadsheet reads it, so no apostrophes.
        let fields = "@['id','status'] 4; @.customer.phone (mask) 3; $.total 1";
        assert_eq!(rows[0]["fields"], Field::Str(fields.into()));
        assert_eq!(rows[1]["outcome"], Field::Str("not-found".into()));
        assert_eq!(rows[2]["contractor"], Field::Null);
        assert_eq!((&rows[3]["number"], &rows[3]["time"]), (&Field::ULong(5), &Field::Null));
        assert_eq!(rows[3]["outcome"], Field::Str("pruned".into()));
    }

    #[test]
    fn an_export_of_nothing_is_a_file() {
        assert!(read_back(export(Form::Parquet, &[])).is_empty());
    }

    #[test]
    fn row_groups_end_at_a_number_of_rows() {
        let mut exporter = Exporter::new(Form::Parquet, Vec::new()).unwrap();
        for number in 0..=ROWS as u64 {
            exporter.entry(number, None).unwrap();
        }
        let bytes = exporter.finish().unwrap();
        let groups: Vec<_> =
            reader(bytes.clone()).metadata().row_groups().iter().map(|group| group.num_rows()).collect();
        assert_eq!(groups, [ROWS as i64, 1]);
        let numbers = read_back(bytes).into_iter().map(|row| row["number"].clone());
        assert!(numbers.eq((0..=ROWS as u64).map(Field::ULong)));
    }

    #[test]
    fn row_groups_end_at_a_number_of_bytes() {
        let leaf = format!(r#"{{"kind":"hold","time":0,"reason":"{}"}}"#, "a".repeat(1 << 20));
        let entries: Vec<_> = (0..40).map(|number| (number, Some(leaf.as_str()))).collect();
        let reader = reader(export(Form::Parquet, &entries));
        assert_eq!(reader.num_row_groups(), 2);
        assert_eq!(reader.metadata().row_group(0).num_rows(), 32);
    }
}
